import { X509Certificate, createPublicKey, randomBytes, scrypt } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { CertificateMatch } from '@remora/policy-kit/consumer-credentials';
import type { Sealer } from '../identity/sealer.ts';
import { ConsumerError } from './consumer-error.ts';
import type { CertificateCredential, Credential, CredentialKind, PasswordCredential, SigningCredential } from './credential.ts';
import { sealPurpose } from './credential-book.ts';
import type { CredentialBook } from './credential-book.ts';

/** What an operator asks for; what is missing is made. */
export interface CredentialRequest {
  readonly consumer: string;
  readonly author: string;
  readonly nowMs: number;
  readonly expiresMs: number | null;
  /** A key, password or secret that exists already. */
  readonly value?: string | undefined;
  readonly user?: string | undefined;
  readonly keyId?: string | undefined;
  readonly algorithm?: string | undefined;
  readonly issuer?: string | undefined;
  /** PEM. */
  readonly publicKey?: string | undefined;
  /** PEM. */
  readonly certificate?: string | undefined;
  readonly match?: CertificateMatch | undefined;
}

/** A credential, and what its owner must be given: shown once, kept nowhere. '' where the owner has it already. */
export interface MadeCredential {
  readonly credential: Credential;
  readonly secret: string;
}

/** Cost of a password's hash: about 50 ms and 16 MiB. */
const scryptCost = { cost: 16_384, blockSize: 8, parallelization: 1 } as const;
const hashBytes = 32;
const deriveKey = promisify<string, Buffer, number, { cost: number; blockSize: number; parallelization: number; maxmem: number }, Buffer>(scrypt);

/** Throws ConsumerError where it cannot be, without a word of what was given. */
export async function makeCredential(kind: CredentialKind, request: CredentialRequest, { book, sealer }: { readonly book: CredentialBook; readonly sealer: Sealer }): Promise<MadeCredential> {
  const { consumer, author, nowMs: createdMs, expiresMs } = request;
  const base = { id: randomText(12), consumer, author, createdMs, expiresMs };
  switch (kind) {
    case 'apiKey': {
      const secret = request.value ?? `rk_${randomText(8)}_${randomBytes(24).toString('base64url')}`;
      checkText(secret, '/value', { min: 16, max: 512, pattern: /^[\x21-\x7e]+$/, expected: '16 to 512 visible ASCII characters' });
      return { secret, credential: { ...base, kind, prefix: secret.slice(0, request.value === undefined ? 11 : 4), digest: book.digestOf(secret) } };
    }
    case 'basic':
      return password(base, request);
    case 'hmac':
      return signingKey({ ...base, kind, issuer: '' }, request, sealer);
    case 'jwt':
      if (!request.issuer) throw new ConsumerError('bad-credential', 'needs the issuer that its tokens name', '/issuer');
      return signingKey({ ...base, kind, issuer: checkText(request.issuer, '/issuer', { min: 1, max: 2_048, pattern: /^[^\s\p{Cc}]+$/u, expected: 'an issuer as tokens name it' }) }, request, sealer);
    case 'certificate':
      return { secret: '', credential: { ...base, kind, ...certificateName(request) } };
  }
}

type Base = Pick<Credential, 'id' | 'consumer' | 'createdMs' | 'expiresMs' | 'author'>;

async function password(base: Base, request: CredentialRequest): Promise<MadeCredential> {
  const user = checkText(request.user ?? request.consumer, '/user', { min: 1, max: 255, pattern: /^[^:\p{Cc}]+$/u, expected: 'a name without colons and control characters' });
  const secret = request.value ?? randomBytes(18).toString('base64url');
  checkText(secret, '/value', { min: 8, max: 512, pattern: /^[^\p{Cc}]+$/u, expected: '8 to 512 characters' });
  const salt = randomBytes(16);
  const hash = await deriveKey(secret, salt, hashBytes, { ...scryptCost, maxmem: 64 * 1024 * 1024 });
  const credential: PasswordCredential = { ...base, kind: 'basic', user, salt: salt.toString('base64'), hash: hash.toString('base64'), ...scryptCost };
  return { secret, credential };
}

/** Algorithms by kind: those of RFC 9421 section 3.3, and of RFC 7518 and 8037. */
const algorithms: Readonly<Record<'hmac' | 'jwt', { readonly shared: readonly string[]; readonly public: Readonly<Record<string, (key: KeyObject) => boolean>> }>> = {
  hmac: {
    shared: ['hmac-sha256'],
    public: { ed25519: isEd25519, 'ecdsa-p256-sha256': (key) => isCurve(key, 'prime256v1'), 'rsa-pss-sha512': isRsa, 'rsa-v1_5-sha256': isRsa },
  },
  jwt: {
    shared: ['HS256', 'HS384', 'HS512'],
    public: {
      RS256: isRsa, RS384: isRsa, RS512: isRsa, PS256: isRsa, PS384: isRsa, PS512: isRsa, EdDSA: isEd25519,
      ES256: (key) => isCurve(key, 'prime256v1'), ES384: (key) => isCurve(key, 'secp384r1'), ES512: (key) => isCurve(key, 'secp521r1'),
    },
  },
};

function signingKey(base: Base & Pick<SigningCredential, 'kind' | 'issuer'>, request: CredentialRequest, sealer: Sealer): MadeCredential {
  const { shared, public: byKey } = algorithms[base.kind];
  const keyId = checkText(request.keyId ?? base.id, '/keyId', { min: 1, max: 255, pattern: /^[\x21\x23-\x5b\x5d-\x7e]+$/, expected: 'visible ASCII characters without quotes and backslashes' });
  if (request.publicKey !== undefined) {
    const key = readPublicKey(request.publicKey);
    const fitting = Object.keys(byKey).filter((name) => byKey[name]?.(key));
    const algorithm = request.algorithm ?? fitting[0];
    if (algorithm === undefined || !fitting.includes(algorithm)) throw new ConsumerError('bad-credential', `is not for this key; expected ${fitting.length === 0 ? 'a key of Ed25519, P-256 or RSA of at least 2048 bits' : `one of ${fitting.join(', ')}`}`, '/algorithm');
    return { secret: '', credential: { ...base, keyId, algorithm, sealed: null, publicKey: key.export({ type: 'spki', format: 'der' }).toString('base64') } };
  }
  const algorithm = request.algorithm ?? shared[0] ?? '';
  if (!shared.includes(algorithm)) throw new ConsumerError('bad-credential', Object.hasOwn(byKey, algorithm) ? 'needs a public key' : `expected one of ${[...shared, ...Object.keys(byKey)].join(', ')}`, '/algorithm');
  const secret = request.value ?? randomBytes(48).toString('base64url');
  // RFC 7518 section 3.2: a key of at least the hash's size.
  const least = algorithm === 'HS384' ? 48 : algorithm === 'HS512' ? 64 : 32;
  if (Buffer.byteLength(secret) < least || secret.length > 4_096) throw new ConsumerError('bad-credential', `expected ${least} to 4096 bytes for ${algorithm}`, '/value');
  return { secret, credential: { ...base, keyId, algorithm, publicKey: '', sealed: sealer.seal(sealPurpose(base.id), Buffer.from(secret)) } };
}

function readPublicKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    if (pem.includes('PRIVATE KEY')) throw new Error('a private key');
    key = createPublicKey(pem);
  } catch {
    throw new ConsumerError('bad-credential', 'is no public key in PEM', '/publicKey');
  }
  return key;
}

function isRsa(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2_048 && (key.asymmetricKeyDetails?.modulusLength ?? 0) <= 8_192;
}

function isEd25519(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ed25519';
}

function isCurve(key: KeyObject, curve: string): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === curve;
}

function certificateName({ certificate, match, value }: CredentialRequest): Pick<CertificateCredential, 'match' | 'value'> {
  if (certificate !== undefined) {
    try {
      return { match: 'fingerprint', value: new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase() };
    } catch {
      throw new ConsumerError('bad-credential', 'is no certificate in PEM', '/certificate');
    }
  }
  if (match === undefined || value === undefined) throw new ConsumerError('bad-credential', 'needs certificate, or match and value', match === undefined ? '/match' : '/value');
  const text = checkText(value, '/value', { min: 1, max: 1_024, pattern: /^[^\p{Cc}]+$/u, expected: 'what the certificate says' });
  if (match !== 'fingerprint') return { match, value: match === 'dns' ? text.toLowerCase() : text };
  const hex = text.replaceAll(':', '').toLowerCase();
  return { match, value: checkText(hex, '/value', { min: 64, max: 64, pattern: /^[0-9a-f]+$/, expected: 'a SHA-256 fingerprint in hexadecimal' }) };
}

function checkText(text: string, pointer: string, { min, max, pattern, expected }: { readonly min: number; readonly max: number; readonly pattern: RegExp; readonly expected: string }): string {
  if (text.length < min || text.length > max || !pattern.test(text)) throw new ConsumerError('bad-credential', `expected ${expected}`, pointer);
  return text;
}

const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 5 bits each. */
function randomText(length: number): string {
  return [...randomBytes(length)].map((byte) => alphabet[byte % alphabet.length]).join('');
}
