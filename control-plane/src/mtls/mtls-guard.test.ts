import { describe, expect, test } from 'vitest';
import { CallerHistory } from '../telemetry/caller-history.ts';
import { createPlanner, type Planned } from '../compile/planner.ts';
import { authoringKinds, wireKinds } from '../kinds.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import { mtlsViolations } from './mtls-check.ts';
import { mtlsFindings } from './mtls-guard.ts';
import { mtlsStatus } from './mtls-status.ts';

const planner = createPlanner({ kinds: authoringKinds, wireKinds });
const now = Date.parse('2026-06-01T12:30:00Z');
const hour = 3_600_000;

/** Services payments (ports http and metrics), called by web, and a policy. */
function planned(mtls: object | null, previous: Planned | null = null): Planned {
  const all: Record<string, object> = {
    'Service/payments': { kind: 'Service', name: 'payments', ports: { http: { port: 8080, protocol: 'http' }, metrics: { port: 9090, protocol: 'http' } } },
    'Service/web': { kind: 'Service', name: 'web', ports: { http: { port: 8080, protocol: 'http' } }, dependsOn: ['payments'] },
    ...(mtls && { 'Policy/p': { kind: 'Policy', name: 'p', target: { service: 'payments' }, mtls } }),
  };
  const documents = new Map(Object.entries(all).map(([key, document]): [DocumentKey, StoredDocument] => [key as DocumentKey, { key, document, writtenAt: { epoch: 1, index: 1 }, owner: '' } as unknown as StoredDocument]));
  const result = planner.plan(previous, documents, ['Policy/p']);
  if (!result.ok) throw new Error(JSON.stringify(result.violations));
  return result.planned;
}

function traffic(): CallerHistory {
  const history = new CallerHistory();
  history.add('payments', { port: 'metrics', mtls: false, peer: '10.0.0.9' }, 5_760, now - hour);
  history.add('payments', { port: 'http', mtls: false, peer: '10.0.0.4' }, 12, now - 2 * hour);
  history.add('payments', { port: 'http', mtls: true, peer: 'service/web' }, 900, now);
  return history;
}

const sidecars = [
  { subject: 'service/web', connected: true, authenticated: true, address: '10.0.0.2:40000' }, { subject: 'service/batch', connected: true, authenticated: false, address: '10.0.0.4:40000' },
  { subject: 'service/payments', connected: true, authenticated: true, address: '10.0.0.3:40000' },
] as const;

function findings(from: object | null, to: object | null, history = traffic()): string[] {
  const before = planned(from);
  return mtlsFindings({ before, after: planned(to, before), trafficOf: (service) => history.of(service, now - 24 * hour), sidecars: () => sidecars }).map(({ message }) => message);
}

describe('the way to strict mTLS', () => {
  test.each<[string, object | null, object | null, string[]]>([
    ['nothing to permissive', null, { mode: 'permissive' }, []],
    ['from permissive names who came in plaintext, by port', null, { mode: 'strict' }, ['service/payments with strict mTLS would refuse 10.0.0.9 → metrics (5,760 in 24 h), service/batch (10.0.0.4) → http (12 in 24 h)']],
    ['leaves out ports that stay permissive', null, { mode: 'strict', ports: { metrics: 'permissive' } }, ['service/payments with strict mTLS would refuse service/batch (10.0.0.4) → http (12 in 24 h)']],
    ['one port alone', { mode: 'permissive' }, { ports: { metrics: 'strict' } }, ['service/payments with strict mTLS would refuse 10.0.0.9 → metrics (5,760 in 24 h)']],
    ['in shadow is free', null, { mode: 'strict', enforcement: 'shadow' }, []],
    ['out of shadow is not', { mode: 'strict', enforcement: 'shadow', ports: { metrics: 'permissive' } }, { mode: 'strict', ports: { metrics: 'permissive' } }, ['service/payments with strict mTLS would refuse service/batch (10.0.0.4) → http (12 in 24 h)']],
    ['from strict to strict', { mode: 'strict' }, { mode: 'strict', ports: { metrics: 'permissive' } }, []],
  ])('%s', (_name, from, to, expected) => {
    expect(findings(from, to)).toEqual(expected);
  });

  test('from disabled says that permissive comes first', () => {
    expect(findings({ mode: 'disabled' }, { mode: 'strict' }, new CallerHistory())).toEqual(['service/payments has mTLS disabled on http, metrics, so every caller comes in plaintext: make it permissive first, and strict when they have changed over']);
  });

  test('is free where nobody comes in plaintext', () => {
    expect(findings(null, { mode: 'strict' }, new CallerHistory())).toEqual([]);
  });
});

test('status: shares by port, callers by certificate and by address, and who they may be', () => {
  const status = mtlsStatus({ planned: planned({ mode: 'strict', ports: { metrics: 'permissive' } }), service: 'payments', traffic: traffic().of('payments', now - 24 * hour), sidecars });
  expect(status).toEqual({
    service: 'payments',
    ports: [{ port: 'http', mode: 'strict', shadow: false, mtls: 900, plaintext: 12 }, { port: 'metrics', mode: 'permissive', shadow: false, mtls: 0, plaintext: 5_760 }],
    callers: [
      { caller: 'service/batch', declared: false, instances: { all: 1, withCertificate: 0 }, mtls: 0, plaintext: 12, lastPlaintextAt: '2026-06-01T10:30:00.000Z' },
      { caller: 'service/web', declared: true, instances: { all: 1, withCertificate: 1 }, mtls: 900, plaintext: 0, lastPlaintextAt: null },
    ],
    plaintext: [
      { address: '10.0.0.9', caller: '', port: 'metrics', requests: 5_760, lastAt: '2026-06-01T11:30:00.000Z' },
      { address: '10.0.0.4', caller: 'service/batch', port: 'http', requests: 12, lastAt: '2026-06-01T10:30:00.000Z' },
    ],
    instances: { all: 1, mtls: 1 },
  });
  expect(mtlsStatus({ planned: planned(null), service: 'nobody', traffic: [], sidecars: [] })).toBeNull();
});

describe('callers', () => {
  test('are kept for a day, by hours', () => {
    const history = traffic();
    expect(history.of('payments', now - 30 * 60_000).map(({ peer }) => peer)).toEqual(['service/web']);
    history.sweep(now + 23 * hour);
    expect(history.of('payments', 0).map(({ peer }) => peer)).toEqual(['10.0.0.9', 'service/web']);
    history.sweep(now + 30 * hour);
    expect(history.of('payments', 0)).toEqual([]);
  });

  test('are bounded for each service', () => {
    const history = new CallerHistory();
    for (let i = 0; i < 1_100; i++) history.add('payments', { port: 'http', mtls: false, peer: `10.0.${i >> 8}.${i & 255}` }, 1, now);
    expect(history.of('payments', 0)).toHaveLength(1_024);
    expect(history.dropped).toBe(76);
  });
});

describe('what nobody could enforce', () => {
  const change = (mtls: object): Parameters<typeof mtlsViolations>[0] => [{ key: 'Policy/p', before: null, after: { kind: 'Policy', name: 'p', target: {}, mtls } as never, ownerBefore: '', ownerAfter: '' }];

  test.each<[object, boolean, string[]]>([
    [{ mode: 'strict' }, true, []],
    [{ mode: 'permissive', ports: { http: 'disabled' } }, false, []],
    [{ mode: 'strict', ports: { http: 'strict', metrics: 'permissive' } }, false, ['/mtls/mode not-enforceable', '/mtls/ports/http not-enforceable']],
    [{ trustDomains: ['remora.local', 'partner.example'] }, true, ['/mtls/trustDomains/1 no-trust-bundle']],
  ])('%j, with identity: %s', (mtls, hasIdentity, expected) => {
    expect(mtlsViolations(change(mtls), planned(null), hasIdentity).map(({ pointer, code }) => `${pointer} ${code}`)).toEqual(expected);
  });
});
