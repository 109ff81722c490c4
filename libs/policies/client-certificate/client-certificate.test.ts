import type { JsonObject } from '@remora/core/canonical-json';
import type { ClientCertificateFacts } from '@remora/policy-kit/client-certificate-facts';
import { crlKind, encodeCrls, type CrlFacts } from '@remora/policy-kit/crl-facts';
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
  serial: '07'.padStart(40, '0'), issuerHash: 'aa', issuerKeyId: 'bb',
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

describe('lists of revoked certificates', () => {
  const nowMs = new TestFilterContext('clientCertificate').clock.wallMs();
  const list: CrlFacts = { issuerHash: 'aa', issuerKeyId: 'bb', endsMs: nowMs + 60_000, issuerRevoked: false, serials: Buffer.from(['01', '07', '09'].map((digits) => digits.padStart(40, '0')).join(''), 'hex') };
  const clean: CrlFacts = { ...list, serials: Buffer.from('09'.padStart(40, '0'), 'hex') };

  function judge(section: JsonObject, files: Record<string, readonly CrlFacts[]>, certificate: Partial<ClientCertificateFacts> = {}): (change?: Record<string, readonly CrlFacts[]>, afterMs?: number) => string {
    const context = new TestFilterContext('clientCertificate', { side: 'gateway' });
    const use = (by: Record<string, readonly CrlFacts[]>): void => context.factBooks.apply({ kind: crlKind, full: true, facts: new Map(Object.entries(by).map(([file, lists]) => [file, encodeCrls(lists)])) });
    use(files);
    const filter = clientCertificateRuntime.edge?.(clientCertificateRuntime.decode(clientCertificateAuthoring.compile(effectiveSection(clientCertificateAuthoring, section)).body), context);
    const connection = { clientCertificate: { ...shown, ...certificate } };
    return (change, afterMs = 0) => {
      if (change !== undefined) use(change);
      context.clock.advance(afterMs);
      const x = makeExchange({ request: { method: 'GET', authority: 'a', target: '/' }, connection }, context);
      filter?.request?.(x);
      return x.identity?.failure?.reason.code ?? ((x.identity?.proved ?? 0) > 0 ? 'proved' : 'nothing');
    };
  }

  test.each<[string, Record<string, readonly CrlFacts[]>, Partial<ClientCertificateFacts>, string]>([
    ['that name it', { '/a': [list] }, {}, 'client-certificate-revoked'],
    ['that do not', { '/a': [clean] }, {}, 'proved'],
    ['that are empty', { '/a': [{ ...list, serials: new Uint8Array() }] }, {}, 'proved'],
    ['one of which names it', { '/a': [clean, list] }, {}, 'client-certificate-revoked'],
    ['of another authority', { '/a': [{ ...list, issuerHash: 'cc' }] }, {}, 'client-certificate-unchecked'],
    ['of another key of the same name', { '/a': [{ ...list, issuerKeyId: 'cc' }] }, {}, 'client-certificate-unchecked'],
    ['of an authority that names no key', { '/a': [{ ...list, issuerKeyId: '' }] }, {}, 'client-certificate-revoked'],
    ['for a certificate that names no key', { '/a': [list] }, { issuerKeyId: '' }, 'client-certificate-revoked'],
    ['of a revoked authority', { '/a': [{ ...clean, issuerRevoked: true }] }, {}, 'client-certificate-revoked'],
    ['and a serial number that no list can name', { '/a': [clean] }, { serial: '' }, 'client-certificate-unchecked'],
    ['that are not there', {}, {}, 'client-certificate-unchecked'],
  ])('%s', (_title, files, certificate, expected) => {
    expect(judge({ crlFiles: ['/a'] }, files, certificate)()).toBe(expected);
  });

  test('all that are named count: without one of them nothing says that a certificate is good', () => {
    expect(judge({ crlFiles: ['/a', '/b'] }, { '/a': [clean] })()).toBe('client-certificate-unchecked');
    expect(judge({ crlFiles: ['/a', '/b'] }, { '/a': [clean], '/b': [list] })()).toBe('client-certificate-revoked');
  });

  test('change while the connection is open', () => {
    const ask = judge({ crlFiles: ['/a'] }, { '/a': [clean] });
    expect([ask(), ask({ '/a': [list] }), ask(), ask({ '/a': [clean] }), ask({})]).toEqual(['proved', 'client-certificate-revoked', 'client-certificate-revoked', 'proved', 'client-certificate-unchecked']);
  });

  test('whose time is over deny, or count where that is allowed; what they name stays revoked', () => {
    const denies = judge({ crlFiles: ['/a'] }, { '/a': [clean] });
    expect([denies(), denies(undefined, 59_999), denies(undefined, 1), denies({ '/a': [list] })]).toEqual(['proved', 'proved', 'client-certificate-unchecked', 'client-certificate-revoked']);
    const allows = judge({ crlFiles: ['/a'], onExpiredCrl: 'allow' }, { '/a': [clean] });
    expect([allows(undefined, 3_600_000), allows({ '/a': [list] }), allows({})]).toEqual(['proved', 'client-certificate-revoked', 'client-certificate-unchecked']);
  });
});
