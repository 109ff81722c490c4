import { createHmac, generateKeyPairSync, sign, constants, type KeyObject } from 'node:crypto';
import type { Json, JsonObject } from '@remora/core/canonical-json';

/** Somebody who signs tokens, for tests: keys of every type, made once for each process. */
export class TestIssuer {
  readonly issuer: string;
  readonly #keys = new Map<string, TestKey>();

  constructor(issuer = 'https://login.example/realms/shop') {
    this.issuer = issuer;
  }

  /** A key for one algorithm; another name is another key. */
  key(algorithm = 'ES256', keyId = `${algorithm}-1`): TestKey {
    let key = this.#keys.get(keyId);
    if (key === undefined) this.#keys.set(keyId, key = new TestKey(algorithm, keyId));
    return key;
  }

  /** Public keys of these algorithms, as the issuer publishes them. */
  jwks(...keys: readonly TestKey[]): JsonObject {
    return { keys: (keys.length === 0 ? [...this.#keys.values()] : keys).map((key) => key.jwk()) };
  }

  /** A token that holds for five minutes from `nowMs`, and what `claims` change of it; undefined takes a claim away. */
  token(claims: Readonly<Record<string, unknown>> = {}, options: TokenOptions = {}): string {
    const now = Math.floor((options.nowMs ?? Date.now()) / 1000);
    return (options.key ?? this.key()).sign({ iss: this.issuer, sub: 'anna', aud: 'orders', iat: now, exp: now + 300, ...claims }, options.header);
  }
}

export interface TokenOptions {
  readonly key?: TestKey;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly nowMs?: number;
}

/** A key pair with its name. */
export class TestKey {
  readonly algorithm: string;
  readonly keyId: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;

  constructor(algorithm: string, keyId: string) {
    this.algorithm = algorithm;
    this.keyId = keyId;
    ({ publicKey: this.publicKey, privateKey: this.privateKey } = makePair(algorithm));
  }

  jwk(extra: JsonObject = {}): JsonObject {
    return { ...(this.publicKey.export({ format: 'jwk' }) as unknown as JsonObject), kid: this.keyId, use: 'sig', alg: this.algorithm, ...extra };
  }

  /** `header` replaces what is usual; undefined takes a member away. */
  sign(claims: Readonly<Record<string, unknown>>, header: Readonly<Record<string, unknown>> = {}): string {
    return this.signParts(JSON.stringify({ alg: this.algorithm, kid: this.keyId, typ: 'JWT', ...header }), JSON.stringify(claims));
  }

  signParts(header: string, payload: string): string {
    const signed = `${encode(header)}.${encode(payload)}`;
    return `${signed}.${signWith(this.algorithm, this.privateKey, Buffer.from(signed)).toString('base64url')}`;
  }
}

/** A token of a shared secret. */
export function hmacToken(secret: Uint8Array, claims: Readonly<Record<string, Json>>, header: Readonly<Record<string, Json>> = {}): string {
  const signed = `${encode(JSON.stringify({ alg: 'HS256', typ: 'JWT', ...header }))}.${encode(JSON.stringify(claims))}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

export function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function makePair(algorithm: string): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (algorithm) {
    case 'ES256': return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'ES384': return generateKeyPairSync('ec', { namedCurve: 'P-384' });
    case 'ES512': return generateKeyPairSync('ec', { namedCurve: 'P-521' });
    case 'EdDSA': case 'Ed25519': return generateKeyPairSync('ed25519');
    default: return generateKeyPairSync('rsa', { modulusLength: 2048 });
  }
}

function signWith(algorithm: string, key: KeyObject, data: Uint8Array): Buffer {
  const hash = algorithm.startsWith('Ed') ? null : `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
  if (algorithm.startsWith('PS')) return sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
  return sign(hash, data, key);
}
