import type { JsonObject } from '@remora/core/canonical-json';
import type { ClientCertificateFacts } from '@remora/policy-kit/client-certificate-facts';
import { ConsumersPart } from '@remora/proto/gen/remora/consumers/v1/consumers';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { describe, expect, test } from 'vitest';
import { clientCertificateAuthoring } from './compile.ts';
import { clientCertificateRuntime } from './filter.ts';

testKindCases(import.meta.dirname, clientCertificateAuthoring, clientCertificateRuntime);

const fingerprint = 'ab'.repeat(32);
const shown: ClientCertificateFacts = {
  fingerprint, subject: 'CN=till "7",O=Shop', dnsNames: ['a.partner.example'], uris: ['https://partner.example/app;v=1'], emails: ['ops@partner.example'], endsMs: Date.parse('2026-06-01T00:00:00Z'),
};

function ask(section: JsonObject, certificate: ClientCertificateFacts | null, afterMs = 0): { verdict: string; consumer: string; lines: string[] } {
  const context = new TestFilterContext('clientCertificate', { side: 'gateway' });
  const part = ConsumersPart.fromPartial({ consumers: [{ name: 'till', groups: [], plan: '', identities: [] }], certificates: [{ consumer: 'till', id: 'c', match: 'dns', value: 'a.partner.example', expiresMs: 0n }] });
  context.factBooks.apply({ kind: 'consumers', full: true, facts: new Map([['consumers.1', ConsumersPart.encode({ ...part, certificates: [] }).finish()], ['certificate.1', ConsumersPart.encode({ ...part, consumers: [] }).finish()]]) });
  const filter = clientCertificateRuntime.edge?.(clientCertificateRuntime.decode(clientCertificateAuthoring.compile(effectiveSection(clientCertificateAuthoring, section)).body), context);
  context.clock.advance(afterMs);
  const x = makeExchange({ request: { method: 'GET', authority: 'a', target: '/', headers: { 'x-client-certificate': 'forged', 'X_Client.Certificate': 'forged too', 'x-a': '1' } }, ...(certificate && { connection: { clientCertificate: certificate } }) }, context);
  expect(filter?.request?.(x)).toBeNull();
  const { identity } = x;
  return { verdict: identity?.failure?.reason.code ?? ((identity?.proved ?? 0) > 0 ? 'proved' : 'nothing'), consumer: identity?.consumer?.name ?? '', lines: headLines(x.head).slice(1) };
}

describe('a client\'s certificate', () => {
  test.each<[string, JsonObject, Partial<ClientCertificateFacts>, string]>([
    ['any', {}, {}, 'proved'],
    ['by host', { dnsNames: ['a.partner.example'] }, {}, 'proved'],
    ['by wildcard', { dnsNames: ['*.partner.example'] }, {}, 'proved'],
    ['by wildcard, two labels', { dnsNames: ['*.partner.example'] }, { dnsNames: ['a.b.partner.example'] }, 'client-certificate-refused'],
    ['by wildcard, itself a wildcard', { dnsNames: ['*.partner.example'] }, { dnsNames: ['*.partner.example'] }, 'client-certificate-refused'],
    ['by host, a wildcard in the certificate', { dnsNames: ['a.partner.example'] }, { dnsNames: ['*.partner.example'] }, 'client-certificate-refused'],
    ['by URI', { uris: ['https://partner.example/app;v=1'] }, {}, 'proved'],
    ['by URI, other', { uris: ['https://partner.example/app'] }, {}, 'client-certificate-refused'],
    ['by e-mail', { emails: ['ops@partner.example'] }, {}, 'proved'],
    ['by subject', { subjects: ['CN=till "7",O=Shop'] }, {}, 'proved'],
    ['by fingerprint', { fingerprints: [fingerprint] }, {}, 'proved'],
    ['by another fingerprint', { fingerprints: ['cd'.repeat(32)] }, {}, 'client-certificate-refused'],
  ])('%s', (_title, names, certificate, expected) => {
    expect(ask(Object.keys(names).length === 0 ? { format: 'xfcc' } : { accept: { a: names } }, { ...shown, ...certificate }).verdict).toBe(expected);
  });

  test('that is not there is nothing, and that has expired since the handshake is none', () => {
    expect(ask({}, null).verdict).toBe('nothing');
    expect(ask({}, shown, 366 * 86_400_000).verdict).toBe('client-certificate-expired');
  });

  test('is a Consumer\'s', () => {
    expect(ask({}, shown).consumer).toBe('till');
    expect(ask({}, { ...shown, dnsNames: [] })).toMatchObject({ verdict: 'proved', consumer: '' });
  });

  test.each<[string, string]>([
    ['xfcc', `x-client-certificate: Hash=${fingerprint};Subject="CN=till \\"7\\",O=Shop";URI="https://partner.example/app;v=1";DNS=a.partner.example`],
    ['subject', 'x-client-certificate: CN=till "7",O=Shop'], ['fingerprint', `x-client-certificate: ${fingerprint}`],
  ])('is told to the app as %s, and by nobody else', (format, line) => {
    expect(ask({ header: 'X-Client-Certificate', format }, shown).lines).toEqual(['host: a', 'x-a: 1', line]);
    expect(ask({ header: 'X-Client-Certificate', format }, null).lines).toEqual(['host: a', 'x-a: 1']);
    expect(ask({ header: 'X-Client-Certificate', format, accept: { a: { uris: ['x'] } } }, shown).lines).toEqual(['host: a', 'x-a: 1']);
  });

  test('says nothing in a header that could break it', () => {
    expect(ask({ header: 'x-client-certificate', format: 'subject' }, { ...shown, subject: 'CN=a\r\nx: y,O=é' }).lines.at(-1)).toBe('x-client-certificate: CN=a??x: y,O=?');
  });
});
