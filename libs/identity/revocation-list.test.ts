import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeCrl } from '@remora/testing/openssl-crl';
import { describeWith } from '@remora/testing/requirement';
import { TestAuthority, type TestKeyType } from '@remora/testing/test-authority';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificateIssuer } from './certificate-issuer.ts';
import { readRevocationList } from './revocation-list.ts';

test('any bytes give an answer', () => {
  const authorities = [new X509Certificate(new TestAuthority().cert)];
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    expect(readRevocationList(bytes, authorities).ok).toBe(false);
    expect(certificateIssuer({ raw: Buffer.from(bytes) }).serial).toMatch(/^(?:[0-9a-f]{40})?$/);
  }));
});

describeWith('openssl', 'lists that openssl made', (openssl) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'crl-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const authority = new TestAuthority('partners');
  const root = new X509Certificate(authority.cert);
  let good: Buffer;
  beforeAll(() => {
    good = makeCrl(openssl, folder, authority, ['0A', 'FF00', '7F'.repeat(20)]);
  });

  test.each<TestKeyType>(['ec', 'rsa', 'ed25519'])('with a key of type %s are read', (type) => {
    const by = new TestAuthority('partners', undefined, type);
    const read = readRevocationList(makeCrl(openssl, folder, by, ['0A', 'FF00']), [root, new X509Certificate(by.cert)]);
    if (!read.ok) throw new Error(read.problem);
    expect(read.list.serials).toEqual(['0a'.padStart(40, '0'), 'ff00'.padStart(40, '0')]);
    expect(read.list.issuer.raw).toEqual(new X509Certificate(by.cert).raw);
    expect(read.list.endsMs - read.list.fromMs).toBe(7 * 86_400_000);
    const leaf = certificateIssuer(new X509Certificate(by.issue({ dns: ['a.test'] }).cert));
    expect(leaf).toMatchObject({ issuerHash: read.list.issuerHash, issuerKeyId: read.list.issuerKeyId });
  });

  test('the serial number is that which Node shows', () => {
    const leaf = new X509Certificate(authority.issue({ dns: ['a.test'] }).cert);
    expect(certificateIssuer(leaf).serial).toBe(leaf.serialNumber.toLowerCase().padStart(40, '0'));
    const read = readRevocationList(makeCrl(openssl, folder, authority, [leaf.serialNumber]), [root]);
    expect(read.ok && read.list.serials).toEqual([certificateIssuer(leaf).serial]);
  });

  test('an empty one is one', () => {
    const read = readRevocationList(makeCrl(openssl, folder, authority, []), [root]);
    expect(read.ok && read.list.serials).toEqual([]);
  });

  test('of somebody else, or of a stranger with the same name, are not believed', () => {
    expect(readRevocationList(good, [])).toMatchObject({ ok: false, code: 'untrusted-crl' });
    expect(readRevocationList(good, [new X509Certificate(new TestAuthority('partners').cert), new X509Certificate(new TestAuthority('others').cert)])).toMatchObject({ ok: false, code: 'untrusted-crl' });
    expect(readRevocationList(makeCrl(openssl, folder, new TestAuthority('partners'), [], [], '1.2.3.4 = DER:0500'), [root])).toMatchObject({ ok: false, code: 'untrusted-crl' });
  });

  test('that are partial, or signed with SHA-1, are refused', () => {
    expect(readRevocationList(makeCrl(openssl, folder, authority, [], [], '2.5.29.27 = critical,DER:020105'), [root])).toMatchObject({ ok: false, code: 'invalid-crl', problem: expect.stringContaining('a delta list') as unknown });
    expect(readRevocationList(makeCrl(openssl, folder, authority, [], [], 'issuingDistributionPoint = critical,@idp\n[idp]\nonlyuser = TRUE'), [root])).toMatchObject({ ok: false, problem: expect.stringContaining('of one distribution point') as unknown });
    expect(readRevocationList(makeCrl(openssl, folder, new TestAuthority('partners', undefined, 'rsa'), [], ['-crldays', '7', '-md', 'sha1']), [root])).toMatchObject({ ok: false, code: 'untrusted-crl' });
  });

  test('no changed byte is believed to be the same list, and none makes the reader throw', () => {
    const read = readRevocationList(good, [root]);
    if (!read.ok) throw new Error(read.problem);
    fc.assert(fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.option(fc.nat(good.length)), (at, change, cut) => {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ change;
      expect(readRevocationList(bytes.subarray(0, cut ?? bytes.length), [root]).ok).toBe(false);
    }), { numRuns: 300 });
  });
});

describe('the issuer of a certificate', () => {
  test('has no serial where that is too long, and is nobody where it cannot be read', () => {
    expect(certificateIssuer({ raw: Buffer.from('3003020101', 'hex') })).toEqual({ serial: '', issuerHash: '', issuerKeyId: '' });
  });
});
