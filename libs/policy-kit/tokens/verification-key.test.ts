import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Json } from '@remora/core/canonical-json';
import { TestIssuer } from '@remora/testing/test-issuer';
import { describe, expect, test } from 'vitest';
import { signatureAlgorithms, type SignatureAlgorithm } from './signature-algorithm.ts';
import { readConsumerKey, readPublicJwk, type VerificationKey } from './verification-key.ts';

/** Signatures of RFC 7515, RFC 7520 and RFC 8037. */
interface Vector {
  readonly name: string;
  readonly algorithm: string;
  readonly jwk?: Json;
  /** Of a shared key. */
  readonly secret?: string;
  readonly signed: string;
  readonly signature: string;
}

const vectors = JSON.parse(readFileSync(path.join(import.meta.dirname, 'testdata/signatures.json'), 'utf8')) as readonly Vector[];

function algorithmOf(name: string): SignatureAlgorithm {
  const algorithm = signatureAlgorithms.get(name);
  if (algorithm === undefined) throw new Error(name);
  return algorithm;
}

function keyOf({ jwk, secret, algorithm }: Vector): VerificationKey {
  const key = secret === undefined ? readPublicJwk(jwk ?? null) : readConsumerKey('k', algorithm, Buffer.from(secret, 'base64url'));
  if (key === null || typeof key === 'string') throw new Error(key ?? 'no key');
  return key;
}

function verifies(key: VerificationKey, algorithm: string, signed: string, signature: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    key.verify(algorithmOf(algorithm), Buffer.from(signed), signature, (valid) => {
      expect(key.verifyNow(algorithmOf(algorithm), Buffer.from(signed), signature)).toBe(valid);
      resolve(valid);
    });
  });
}

describe.each(vectors)('$name', (vector) => {
  const signature = Buffer.from(vector.signature, 'base64url');

  test('is verified, and nothing that was changed is', async () => {
    const key = keyOf(vector);
    expect(await verifies(key, vector.algorithm, vector.signed, signature)).toBe(true);
    expect(await verifies(key, vector.algorithm, `${vector.signed}a`, signature)).toBe(false);
    for (const changed of [signature.subarray(1), Buffer.concat([signature, Buffer.alloc(1)]), Buffer.alloc(signature.length), Buffer.alloc(0), Buffer.alloc(signature.length, 0xff)]) {
      expect(await verifies(key, vector.algorithm, vector.signed, changed)).toBe(false);
    }
  });

  test('is of no other algorithm', async () => {
    for (const name of signatureAlgorithms.keys()) {
      if (name === vector.algorithm || (name === 'Ed25519' && vector.algorithm === 'EdDSA')) continue;
      expect(await verifies(keyOf(vector), name, vector.signed, signature)).toBe(false);
    }
  });
});

describe('keys that an issuer publishes', () => {
  const issuer = new TestIssuer();
  const rsa = issuer.key('RS256').jwk();
  const ec = issuer.key('ES256').jwk();
  const okp = issuer.key('EdDSA').jwk();

  test.each([
    ['for encryption', { ...rsa, use: 'enc' }],
    ['for signing only', { ...rsa, key_ops: ['sign'] }],
    ['private', { ...(issuer.key('RS256').privateKey.export({ format: 'jwk' }) as unknown as Record<string, Json>) }],
    ['shared', { kty: 'oct', k: 'AAAA' }],
    ['of an unknown type', { kty: 'AKP', pub: 'AAAA' }],
    ['of a type that is no name', { kty: '__proto__' }],
    ['for an unknown algorithm', { ...rsa, alg: 'RS1' }],
    ['for another type\'s algorithm', { ...rsa, alg: 'ES256' }],
    ['for a shared algorithm', { ...rsa, alg: 'HS256' }],
    ['for another curve\'s algorithm', { ...ec, alg: 'ES384' }],
    ['on an unknown curve', { ...ec, crv: 'secp256k1' }],
    ['not on its curve', { ...ec, x: ec['y'] ?? null }],
    ['with padding', { ...rsa, e: 'AQAB=' }],
    ['with an even exponent', { ...rsa, e: 'AQAC' }],
    ['with exponent one', { ...rsa, e: 'AQ' }],
    ['with an enormous exponent', { ...rsa, e: rsa['n'] ?? null }],
    ['with a short modulus', { kty: 'RSA', e: 'AQAB', n: Buffer.alloc(128, 0xab).toString('base64url') }],
    ['with an enormous modulus', { kty: 'RSA', e: 'AQAB', n: Buffer.alloc(4096, 0xab).toString('base64url') }],
    ['with a numeric name', { ...rsa, kid: 1 }],
    ['with a long name', { ...rsa, kid: 'k'.repeat(257) }],
    ['an Ed25519 key of another length', { ...okp, x: 'AAAA' }],
    ['a key for key agreement', { ...okp, crv: 'X25519' }],
    ['no object', 'key'],
    ['a list', [rsa]],
  ] as const)('%s are left out', (_what, jwk) => {
    expect(readPublicJwk(jwk as unknown as Json)).toEqual(expect.any(String));
  });

  test.each(['HS256', 'RS256', 'none', ''])('a short secret is none, and a secret is no public key: %s', (algorithm) => {
    expect(readConsumerKey('k', algorithm, Buffer.alloc(16, 1))).toBeNull();
  });

  test('a public key of a consumer is for its algorithm only', () => {
    const der = issuer.key('ES256').publicKey.export({ format: 'der', type: 'spki' });
    expect(readConsumerKey('k', 'ES256', der)?.fits(algorithmOf('ES256'))).toBe(true);
    for (const other of ['ES384', 'RS256', 'EdDSA']) expect(readConsumerKey('k', other, der)).toBeNull();
    // As a shared secret it would be known to everybody; who registers it so has to mean it.
    expect(readConsumerKey('k', 'HS256', der)?.fits(algorithmOf('ES256'))).toBe(false);
  });
});
