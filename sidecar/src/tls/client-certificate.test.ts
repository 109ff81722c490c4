import { X509Certificate } from 'node:crypto';
import { TestAuthority } from '@remora/testing/test-authority';
import { expect, test } from 'vitest';
import { clientCertificateFacts } from './client-certificate.ts';

test('a certificate is told by its names, its subject and its fingerprint', () => {
  const authority = new TestAuthority('partners');
  const certificate = new X509Certificate(authority.issue({ dns: ['A.partner.test'], uris: ['https://partner.test/app'] }).cert);
  const facts = clientCertificateFacts(certificate);
  expect(facts).toMatchObject({ dnsNames: ['a.partner.test'], uris: ['https://partner.test/app'], emails: [], endsMs: certificate.validToDate.getTime() });
  expect(facts.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  expect(facts).toMatchObject({ serial: certificate.serialNumber.toLowerCase().padStart(40, '0'), issuerHash: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown, issuerKeyId: expect.stringMatching(/^[0-9a-f]{40}$/) as unknown });
  expect(Object.isFrozen(facts)).toBe(true);
});

test.each([
  ['CN=till-7', 'CN=till-7'], ['O=Shop\nCN=till-7', 'CN=till-7,O=Shop'], ['O=Shop, Inc.\nCN=a+b', 'CN=a\\+b,O=Shop\\, Inc.'], ['', ''], [undefined, ''],
])('subject %j: %s', (subject, expected) => {
  const like = { subject, fingerprint256: 'AB', subjectAltName: undefined, validToDate: new Date(0), raw: Buffer.alloc(0) } as unknown as X509Certificate;
  expect(clientCertificateFacts(like).subject).toBe(expected);
});
