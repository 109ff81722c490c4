import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { describe, expect, test } from 'vitest';
import { buildIdentity } from './build.ts';
import { decodeSnapshot } from './decode.ts';
import { checkGuards, summarize, type SnapshotSummary } from './guards.ts';

const none = new Set<string>();

function gateway(ownRoutes: number, authentication: readonly string[] = []): SnapshotSummary {
  return { subject: 'gateway/edge', hash: `${ownRoutes}`, ownRoutes, destinations: 0, authentication };
}

describe('checkGuards', () => {
  const table: readonly [string, SnapshotSummary | null, SnapshotSummary, readonly string[], readonly string[]][] = [
    ['a first snapshot', null, gateway(0), [], []],
    ['more routes', gateway(3), gateway(9), [], []],
    ['the last route of a Gateway', gateway(1), gateway(0), [], ['empties-routes']],
    ['the last route, granted', gateway(1), gateway(0), ['empties-routes'], []],
    ['all of many: one guard speaks', gateway(30), gateway(0), [], ['empties-routes']],
    ['all of many, another guard granted', gateway(30), gateway(0), ['loses-routes'], ['empties-routes']],
    ['half of ten', gateway(10), gateway(5), [], []],
    ['more than half of ten', gateway(10), gateway(4), [], ['loses-routes']],
    ['more than half of nine', gateway(9), gateway(1), [], []],
    ['the last route of a Service, which has its default', { ...gateway(1), subject: 'service/orders' }, { ...gateway(0), subject: 'service/orders' }, [], []],
    ['all of a Service\'s many', { ...gateway(12), subject: 'service/orders' }, { ...gateway(0), subject: 'service/orders' }, [], ['loses-routes']],
    ['one of two ways to authenticate', gateway(1, ['apiKey', 'jwt']), gateway(1, ['jwt']), [], []],
    ['all authentication', gateway(1, ['jwt']), gateway(1), [], ['removes-authentication']],
    ['two dangers at once', gateway(1, ['jwt']), gateway(0), [], ['empties-routes', 'removes-authentication']],
  ];
  test.each(table)('%s', (_name, previous, next, granted, expected) => {
    expect(checkGuards(previous, next, new Set(granted)).map(({ guard }) => guard)).toEqual(expected);
  });

  test('says the figures', () => {
    expect(checkGuards(gateway(20), gateway(3), none)[0]?.message).toBe('gateway/edge had 20 routes and would have 3');
  });
});

describe('summarize', () => {
  test('counts own routes and enforced authentication only', () => {
    const jwt: RuntimeKind<unknown> = { name: 'jwt', format: 1, side: 'provider', reasons: [], decode: () => null };
    const apiKey = { ...jwt, name: 'apiKey' };
    const builder = new CandidateBuilder({ kind: 'service', name: 'orders' });
    const settings = builder.settings({ kind: 'jwt', minFormat: 1 }, { kind: 'apiKey', minFormat: 1, shadow: true });
    const candidate = builder.inbound({ portName: 'http', settings }).destination({ service: 'payments' })
      .route({ name: 'own' }).route({ name: 'theirs', scope: 2, owner: 'payments' }).build();
    const decoded = decodeSnapshot(candidate, new Map([['jwt', jwt], ['apiKey', apiKey]]));
    expect(decoded.ok && summarize(decoded.snapshot)).toEqual({ subject: 'service/orders', hash: candidate.hash, ownRoutes: 1, destinations: 1, authentication: ['jwt'] });
  });
});

describe('buildIdentity', () => {
  test('depends on version and kinds, not on their order', () => {
    const a = { name: 'a', format: 1 };
    const b = { name: 'b', format: 2 };
    expect(buildIdentity('1', [a, b]).id).toBe(buildIdentity('1', [b, a]).id);
    expect(buildIdentity('1', [a]).id).not.toBe(buildIdentity('1', [a, b]).id);
    expect(buildIdentity('2', [a, b]).id).not.toBe(buildIdentity('1', [a, b]).id);
    expect([...buildIdentity('1', [b, a]).kinds]).toEqual([['a', 1], ['b', 2]]);
  });
});
