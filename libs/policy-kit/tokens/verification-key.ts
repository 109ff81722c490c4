import { constants, createHmac, createPublicKey, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import type { Json } from '@remora/core/canonical-json';
import { decodeBase64Url } from './base64url.ts';
import { signatureAlgorithms, type SignatureAlgorithm } from './signature-algorithm.ts';

/** A key that verifies tokens, for the algorithms of its type only, and for one alone where its owner says so. */
export class VerificationKey {
  /** null: it has no name. */
  readonly keyId: string | null;
  readonly keyType: SignatureAlgorithm['keyType'];
  readonly curve: string;
  /** '' : all of its type. */
  readonly algorithm: string;
  readonly #key: KeyObject | Uint8Array;
  /** Bytes of the modulus of an RSA key. */
  readonly #modulusBytes: number;
  /** As node:crypto wants it, by algorithm. */
  readonly #inputs = new Map<string, KeyInput>();

  constructor(parts: KeyParts) {
    this.keyId = parts.keyId;
    this.keyType = parts.keyType;
    this.curve = parts.curve;
    this.algorithm = parts.algorithm;
    this.#key = parts.key;
    this.#modulusBytes = parts.modulusBytes;
  }

  fits({ name, keyType, curve }: SignatureAlgorithm): boolean {
    return keyType === this.keyType && curve === this.curve && (this.algorithm === '' || this.algorithm === name);
  }

  /** Verifies off this thread, but for shared secrets, which take less than the way there. `done` is called once, perhaps at once; what cannot be verified is not valid. */
  verify(algorithm: SignatureAlgorithm, data: Uint8Array, signature: Uint8Array, done: (valid: boolean) => void): void {
    if (!this.#plausible(algorithm, signature) || this.#key instanceof Uint8Array) return done(this.verifyNow(algorithm, data, signature));
    verify(algorithm.hash === '' ? null : algorithm.hash, data, this.#input(algorithm, this.#key), signature, (error, valid) => done(error === null && valid));
  }

  /** The same on this thread. */
  verifyNow(algorithm: SignatureAlgorithm, data: Uint8Array, signature: Uint8Array): boolean {
    if (!this.#plausible(algorithm, signature)) return false;
    if (this.#key instanceof Uint8Array) return timingSafeEqual(createHmac(algorithm.hash, this.#key).update(data).digest(), signature);
    try {
      return verify(algorithm.hash === '' ? null : algorithm.hash, data, this.#input(algorithm, this.#key), signature);
    } catch {
      return false;
    }
  }

  /** A signature of another length is none (RFC 7518 sections 3.2 to 3.5), and is not worth a look. */
  #plausible(algorithm: SignatureAlgorithm, signature: Uint8Array): boolean {
    return this.fits(algorithm) && signature.length === (algorithm.signatureBytes === 0 ? this.#modulusBytes : algorithm.signatureBytes);
  }

  #input(algorithm: SignatureAlgorithm, key: KeyObject): KeyInput {
    let input = this.#inputs.get(algorithm.name);
    if (input === undefined) this.#inputs.set(algorithm.name, input = inputFor(algorithm, key));
    return input;
  }
}

export interface KeyParts {
  readonly keyId: string | null;
  readonly keyType: SignatureAlgorithm['keyType'];
  readonly curve: string;
  readonly algorithm: string;
  readonly key: KeyObject | Uint8Array;
  readonly modulusBytes: number;
}

interface KeyInput {
  readonly key: KeyObject;
  readonly dsaEncoding?: 'ieee-p1363';
  readonly padding?: number;
  readonly saltLength?: number;
}

function inputFor({ keyType, pss }: SignatureAlgorithm, key: KeyObject): KeyInput {
  if (keyType === 'EC') return { key, dsaEncoding: 'ieee-p1363' };
  if (pss) return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return keyType === 'RSA' ? { key, padding: constants.RSA_PKCS1_PADDING } : { key };
}

/** A JSON Web Key (RFC 7517) of an issuer; text: why it verifies nothing. Never a private or shared key. */
export function readPublicJwk(jwk: Json): VerificationKey | string {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return 'not an object';
  const { kty, use, alg, kid, key_ops: operations } = jwk as Readonly<Record<string, Json>>;
  if (kty === 'oct') return 'a shared key: an issuer that publishes one has no secret';
  if ('d' in jwk || 'k' in jwk) return 'a private key';
  if (use !== undefined && use !== 'sig') return 'not for signatures';
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return 'not for verification';
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > keyIdMax)) return 'its kid is no text of at most 256 characters';
  if (alg !== undefined && (typeof alg !== 'string' || !signatureAlgorithms.has(alg))) return 'for an algorithm that is not accepted';
  return readPublicKey(jwk as Readonly<Record<string, Json>>, typeof kid === 'string' ? kid : null, typeof alg === 'string' ? alg : '');
}

function readPublicKey(jwk: Readonly<Record<string, Json>>, keyId: string | null, algorithm: string): VerificationKey | string {
  const { kty, crv } = jwk;
  const wanted = kty === 'RSA' ? ['n', 'e'] : kty === 'EC' ? ['x', 'y'] : kty === 'OKP' ? ['x'] : null;
  if (wanted === null || typeof kty !== 'string') return 'of a type that is not accepted';
  const plain: Record<string, string> = { kty };
  for (const name of wanted) {
    const value = jwk[name];
    if (typeof value !== 'string' || decodeBase64Url(value) === null) return `${name} is no base64url`;
    plain[name] = value;
  }
  if (kty !== 'RSA') plain['crv'] = typeof crv === 'string' ? crv : '';
  try {
    const made = keyOf(createPublicKey({ key: plain, format: 'jwk' }), keyId, algorithm);
    const declared = signatureAlgorithms.get(algorithm);
    return typeof made !== 'string' && declared !== undefined && !made.fits(declared) ? 'of another type than its algorithm' : made;
  } catch {
    return 'not a key';
  }
}

/** A public key as DER (SubjectPublicKeyInfo), or a shared secret, of a Consumer; null where it verifies nothing with that algorithm. */
export function readConsumerKey(keyId: string, algorithm: string, key: Uint8Array): VerificationKey | null {
  const known = signatureAlgorithms.get(algorithm);
  if (known === undefined) return null;
  if (known.keyType === 'oct') {
    // RFC 7518 section 3.2: at least as long as the hash.
    return key.length < known.signatureBytes ? null : new VerificationKey({ keyId, keyType: 'oct', curve: '', algorithm, key, modulusBytes: 0 });
  }
  try {
    const made = keyOf(createPublicKey({ key: Buffer.from(key), format: 'der', type: 'spki' }), keyId, algorithm);
    return typeof made === 'string' || !made.fits(known) ? null : made;
  } catch {
    return null;
  }
}

function keyOf(key: KeyObject, keyId: string | null, algorithm: string): VerificationKey | string {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const common = { keyId, algorithm, key, curve: '', modulusBytes: 0 };
  if (key.asymmetricKeyType === 'ed25519') return new VerificationKey({ ...common, keyType: 'OKP', curve: 'Ed25519' });
  if (key.asymmetricKeyType === 'ec') {
    const curve = curves.get(namedCurve);
    return curve === undefined ? 'on a curve that is not accepted' : new VerificationKey({ ...common, keyType: 'EC', curve });
  }
  if (key.asymmetricKeyType !== 'rsa') return 'of a type that is not accepted';
  // RFC 7518 section 3.3; beyond the rest a verification would cost milliseconds.
  if (modulusLength < 2048 || modulusLength > 8192) return 'an RSA key of other than 2048 to 8192 bits';
  if (publicExponent < 3n || publicExponent > 0xffff_ffffn || publicExponent % 2n === 0n) return 'an RSA key with an unusual exponent';
  return new VerificationKey({ ...common, keyType: 'RSA', modulusBytes: Math.ceil(modulusLength / 8) });
}

const curves: ReadonlyMap<string, string> = new Map([['prime256v1', 'P-256'], ['secp384r1', 'P-384'], ['secp521r1', 'P-521']]);
export const keyIdMax = 256;
