import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backdateMs } from './certificate-profile.ts';
import { decodeRevocations, encodeRevocations, isRevoked } from './revocation-facts.ts';
import { bundleDigest, decodeTrustBundle, encodeTrustBundle, rootDigest, rootsMax } from './trust-bundle-facts.ts';
import { decodeWorkload, encodeWorkload } from './workload-facts.ts';

const readers = [['workload', decodeWorkload], ['trust bundle', decodeTrustBundle], ['revocations', decodeRevocations]] as const;

describe('facts of identity', () => {
  test('a workload comes back as it was', () => {
    const workload = { key: randomBytes(138), chain: [randomBytes(600), randomBytes(500)], spiffeId: 'spiffe://shop.example/service/orders', trustDomain: 'shop.example' };
    expect(decodeWorkload(encodeWorkload(workload))).toEqual(workload);
  });

  test('a trust bundle comes back as it was, with a digest that the order of roots does not change', () => {
    const [one, two] = [randomBytes(500), randomBytes(500)];
    const bundle = { trustDomain: 'shop.example', roots: [one, two], sequence: 7 };
    expect(decodeTrustBundle(encodeTrustBundle(bundle))).toEqual({ ...bundle, digest: bundleDigest([two, one]), signs: '', renewWithinMs: 600_000 });
    const rolling = { ...bundle, signs: rootDigest(two), renewWithinMs: 1_000 };
    expect(decodeTrustBundle(encodeTrustBundle(rolling))).toEqual({ ...rolling, digest: bundleDigest([two, one]) });
    expect(bundleDigest([one])).not.toBe(bundleDigest([one, two]));
  });

  test('a trust bundle without roots, with too many, or with another digest is none', () => {
    const body = (roots: Buffer[]): Uint8Array => encodeTrustBundle({ trustDomain: 'shop.example', roots, sequence: 1 });
    expect(decodeTrustBundle(body([]))).toBeNull();
    expect(decodeTrustBundle(body(Array.from({ length: rootsMax + 1 }, () => randomBytes(8))))).toBeNull();
    const text = Buffer.from(body([randomBytes(8)])).toString();
    expect(decodeTrustBundle(Buffer.from(text.replace(/"digest":"../, '"digest":"zz')))).toBeNull();
    expect(decodeTrustBundle(Buffer.from(text.replace('shop.example', 'SHOP')))).toBeNull();
  });

  test('revocations: by serial number, by instance and by service, up to a moment', () => {
    const revoked = { trustDomain: 'shop.example', serials: new Set(['4A']), issuedUntilMs: new Map([['service/orders/orders-1', 1_000_000], ['service/web/', 2_000_000]]) };
    expect(decodeRevocations(encodeRevocations(revoked))).toEqual(revoked);
    const of = (subject: string, nodeId: string, issuedMs: number, serial = '01'): boolean => isRevoked(revoked, { serial, subject, nodeId, fromMs: issuedMs - backdateMs });
    expect(of('service/x', 'x-1', 5_000_000, '4A')).toBe(true);
    expect(of('service/orders', 'orders-1', 1_000_000)).toBe(true);
    expect(of('service/orders', 'orders-1', 1_000_001)).toBe(false);
    expect(of('service/orders', 'orders-2', 1)).toBe(false);
    expect(of('gateway/orders', 'orders-1', 1)).toBe(false);
    expect(of('service/web', 'web-9', 1_500_000)).toBe(true);
    expect(of('service/web', 'web-9', 2_500_000)).toBe(false);
  });

  test.each(readers)('%s: any bytes give facts or nothing', (_name, decode) => {
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map((text) => Buffer.from(text))), (bytes) => {
      const read = decode(bytes);
      expect(read === null || typeof read === 'object').toBe(true);
    }));
    expect(decode(Buffer.alloc(300 * 1024, 0x20))).toBeNull();
  });
});
