import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TestAuthority, type TestCertificateOptions } from '@remora/testing/test-authority';
import { afterAll, describe, expect, test } from 'vitest';
import { createMtlsIdentity } from './mtls-identity.ts';
import { verifyChain, type ChainQuestion, type ChainResult } from './verify-chain.ts';

const trustDomain = 'shop.example';
const orders = `spiffe://${trustDomain}/service/orders`;
const hourMs = 3_600_000;
const nowMs = Date.now();
const root = new TestAuthority('root');
const other = new TestAuthority('root');
const middle = new TestAuthority('middle', root);
const ended = at(-2);

function at(hours: number): Date {
  return new Date(nowMs + hours * hourMs);
}

function certificate(options: TestCertificateOptions, by: TestAuthority = root): X509Certificate {
  return new X509Certificate(by.issue({ commonName: 'orders-1', ...options }).cert);
}

function certificateOf(authority: TestAuthority): X509Certificate {
  return new X509Certificate(authority.cert);
}

function ask(leaf: X509Certificate, more: Partial<ChainQuestion> = {}): ChainResult {
  return verifyChain({ leaf, intermediates: [], bundle: { trustDomain, roots: [certificateOf(root)] }, nowMs, purpose: 'client', ...more });
}

describe('who is believed', () => {
  test('a leaf of a root, of one of several roots, through an authority between', () => {
    const leaf = certificate({ uris: [orders] });
    expect(ask(leaf)).toMatchObject({ ok: true, id: { trustDomain, path: '/service/orders' }, commonName: 'orders-1' });
    const roots = [certificateOf(other), certificateOf(root)];
    expect(ask(leaf, { bundle: { trustDomain, roots } })).toMatchObject({ ok: true, root: roots[1] });
    const below = certificate({ uris: [orders] }, middle);
    expect(ask(below, { intermediates: [leaf, certificateOf(other), certificateOf(middle)] })).toMatchObject({ ok: true });
    expect(ask(certificate({ uris: [orders], dns: ['orders.example'] }))).toMatchObject({ ok: true });
  });

  test('one that ended, for as long as may be said', () => {
    const leaf = certificate({ uris: [orders], validTo: ended });
    expect(ask(leaf, { expiredForMaxMs: 3 * hourMs })).toMatchObject({ ok: true });
    expect(ask(leaf, { expiredForMaxMs: hourMs })).toMatchObject({ ok: false, code: 'certificate-expired' });
  });
});

describe('who is not', () => {
  const cases: readonly [string, X509Certificate, string, string, Partial<ChainQuestion>?][] = [
    ['of nobody\'s root', certificate({ uris: [orders] }, other), 'certificate-untrusted', 'leads to none of the 1 roots'],
    ['signed by itself', certificateOf(other), 'certificate-names', 'has 0 URI names'],
    ['below an authority that was not sent', certificate({ uris: [orders] }, middle), 'certificate-untrusted', 'leads to none'],
    ['below a leaf', certificate({ uris: [orders] }, middle), 'certificate-untrusted', 'leads to none', { intermediates: [certificate({ uris: [orders], commonName: 'middle' })] }],
    ['expired', certificate({ uris: [orders], validTo: ended }), 'certificate-expired', 'the certificate expired at 20'],
    ['early', certificate({ uris: [orders], validFrom: at(1) }), 'certificate-early', 'is a clock wrong?'],
    ['an hour ahead of our clock', certificate({ uris: [orders], validFrom: at(-0.5) }), 'certificate-early', 'not valid before', { nowMs: nowMs - hourMs }],
    ['of another trust domain', certificate({ uris: ['spiffe://other.example/service/orders'] }), 'trust-domain', 'of the trust domain other.example, trusted is shop.example'],
    ['without a SPIFFE id', certificate({ dns: ['orders.example'] }), 'certificate-names', 'has 0 URI names'],
    ['with two ids', certificate({ uris: [orders, `${orders}2`] }), 'certificate-names', 'has 2 URI names'],
    ['with an id in upper case', certificate({ uris: ['spiffe://Shop.example/service/orders'] }), 'certificate-names', 'other characters'],
    ['with a NUL in its id', certificate({ uris: [`${orders}\0.evil`] }), 'certificate-unreadable', 'characters that are not allowed'],
    ['with the id of the trust domain', certificate({ uris: [`spiffe://${trustDomain}`] }), 'certificate-names', 'no workload\'s'],
    ['of an authority', certificate({ uris: [orders], authority: true }), 'certificate-authority', 'nobody\'s own'],
  ];
  test.each(cases)('%s', (_name, leaf, code, problem, more = {}) => {
    const result = ask(leaf, more);
    expect(result).toMatchObject({ ok: false, code });
    expect(result.ok ? '' : result.problem).toContain(problem);
  });
});

/** What no authority of ours would make: openssl does. */
describe('certificates that openssl made', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-chain-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (args: readonly string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const make = (name: string, by: string | null, extensions: readonly string[], days = 30): X509Certificate => {
    const text = `[req]\ndistinguished_name=n\nprompt=no\n[n]\nCN=${name}\n[x]\nbasicConstraints=critical,CA:${extensions.some((one) => one.startsWith('pathlen')) || by === null ? 'TRUE' : 'FALSE'}${extensions.find((one) => one.startsWith('pathlen'))?.replace('pathlen', ',pathlen') ?? ''}\n${extensions.filter((one) => !one.startsWith('pathlen')).join('\n')}\n`;
    writeFileSync(path.join(folder, `${name}.cnf`), text);
    run(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`]);
    run(['req', '-new', '-x509', '-key', `${name}.key`, '-config', `${name}.cnf`, '-extensions', 'x', '-days', String(days), '-out', `${name}.pem`, ...(by === null ? [] : ['-CA', `${by}.pem`, '-CAkey', `${by}.key`])]);
    return new X509Certificate(readFileSync(path.join(folder, `${name}.pem`)));
  };
  const san = `subjectAltName=URI:${orders}`;
  const top = make('top', null, ['keyUsage=critical,keyCertSign,cRLSign', 'pathlen:1']);
  const first = make('first', 'top', ['keyUsage=critical,keyCertSign', 'pathlen:0']);
  const second = make('second', 'first', ['keyUsage=critical,keyCertSign', 'pathlen:0']);
  const noSigner = make('no-signer', 'top', ['keyUsage=critical,cRLSign', 'pathlen:0']);
  const between = { bundle: { trustDomain, roots: [top] }, intermediates: [first, second, noSigner], nowMs: Date.now() + 60_000 };
  const usage = 'keyUsage=critical,digitalSignature';

  test('with all that is wanted', () => {
    expect(ask(make('good', 'first', [usage, 'extendedKeyUsage=clientAuth', san]), between)).toMatchObject({ ok: true });
  });

  test.each<[string, string, readonly string[], string, string]>([
    ['server-only', 'top', [usage, 'extendedKeyUsage=serverAuth', san], 'certificate-usage', 'does not allow to be a client'],
    ['no-usage', 'top', [san], 'certificate-usage', 'digitalSignature'],
    ['wrong-usage', 'top', ['keyUsage=critical,keyAgreement', san], 'certificate-usage', 'digitalSignature'],
    ['signer', 'top', ['keyUsage=critical,digitalSignature,keyCertSign', san], 'certificate-authority', 'allows to sign others'],
    ['too-deep', 'second', [usage, san], 'certificate-authority', 'allows 0 authorities below it, and there are 1'],
    ['by-no-signer', 'no-signer', [usage, san], 'certificate-untrusted', 'leads to none'],
    ['name-constraints', 'top', [usage, san, '1.2.3.4=critical,ASN1:NULL'], 'certificate-unreadable', 'critical extension 1.2.3.4'],
  ])('%s', (name, by, extensions, code, problem) => {
    const result = ask(make(name, by, extensions), between);
    expect(result).toMatchObject({ ok: false, code });
    expect(result.ok ? '' : result.problem).toContain(problem);
  });
});

/** Every certificate with every claim: only its own is believed. */
describe('the peers of the push port', () => {
  const domains = [trustDomain, 'other.example'];
  const kinds = ['service', 'gateway'] as const;
  const names = ['orders', 'payments'];
  const nodes = ['a', 'b'];
  const refusals: string[] = [];
  const identity = createMtlsIdentity({ trust: () => ({ bundle: { trustDomain, roots: [certificateOf(root)] }, intermediates: [] }), nowMs: () => nowMs, onRefused: (code) => refusals.push(code) });
  const all = domains.flatMap((domain) => kinds.flatMap((kind) => names.flatMap((name) => nodes.map((node) => ({ domain, kind, name, node })))));

  test('speak for themselves only', () => {
    let believed = 0;
    for (const own of all) {
      const { raw } = certificate({ uris: [`spiffe://${own.domain}/${own.kind}/${own.name}`], commonName: own.node });
      for (const claim of all.filter(({ domain }) => domain === trustDomain)) {
        const verdict = identity.verify({ address: 'x', certificates: [raw] }, { nodeId: claim.node, subject: { kind: claim.kind, name: claim.name } });
        const same = own === claim;
        expect(verdict.ok, `${JSON.stringify(own)} as ${JSON.stringify(claim)}`).toBe(same);
        if (same) believed++;
      }
    }
    expect(believed).toBe(8);
  });

  test.each([
    ['no certificate', [], 'no-certificate'],
    ['bytes', [Buffer.from('x')], 'certificate-unreadable'],
    ['the control plane\'s own', [certificate({ uris: [`spiffe://${trustDomain}/control-plane`] }).raw], 'no-workload'],
    ['of another root', [certificate({ uris: [orders] }, other).raw], 'certificate-untrusted'],
  ])('%s', (_name, certificates, code) => {
    refusals.length = 0;
    expect(identity.verify({ address: 'x', certificates }, { nodeId: 'orders-1', subject: { kind: 'service', name: 'orders' } }).ok).toBe(false);
    expect(refusals).toEqual([code]);
  });
});

/** Who verifies is an hour off: five minutes before a certificate was made are forgiven, and its end is its end. */
describe('a clock that is off', () => {
  const minuteMs = 60_000;
  const leaf = certificate({ uris: [orders] });
  const fromMs = Math.max(leaf.validFromDate.getTime(), certificateOf(root).validFromDate.getTime());
  // The root was made a moment before, and may end a second earlier.
  const endsMs = Math.min(leaf.validToDate.getTime(), certificateOf(root).validToDate.getTime());
  const judged = (atMs: number): string => {
    const result = verifyChain({ leaf, intermediates: [], bundle: { trustDomain, roots: [certificateOf(root)] }, nowMs: atMs, purpose: 'client' });
    return result.ok ? 'good' : result.code;
  };

  test.each<[string, number, string]>([
    ['at its first moment', fromMs, 'good'],
    ['a second before', fromMs - 1_000, 'certificate-early'],
    ['an hour behind', fromMs - 60 * minuteMs, 'certificate-early'],
    ['an hour ahead', fromMs + 65 * minuteMs, 'good'],
    ['a second before its end', endsMs - 1_000, 'good'],
    ['at its end', endsMs, 'certificate-expired'],
    ['at its end, an hour ahead', endsMs + 60 * minuteMs, 'certificate-expired'],
    ['at its end, an hour behind', endsMs - 60 * minuteMs, 'good'],
  ])('%s', (_name, atMs, verdict) => {
    expect(judged(atMs)).toBe(verdict);
  });
});
