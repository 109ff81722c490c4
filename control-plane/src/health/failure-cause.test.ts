import { expect, test } from 'vitest';
import type { StoredChain, StoredTrouble } from '../telemetry/stored-chain.ts';
import type { StoredRefusal } from '../telemetry/telemetry-hub.ts';
import { failureCause } from './failure-cause.ts';
import { decidingHop, orderHops } from './hop-order.ts';

const since = '2026-11-22T12:00:00.000Z';
const plainChain: StoredChain = { startedAt: since, tries: [], triesLeftOut: 0, noFurther: null, hosts: null, fallback: '' };
const allMade = { kind: 'retry', pointer: '/retries', policy: 'row', detail: 'all retries have been made' };

function hop(more: Partial<StoredRefusal>): StoredRefusal {
  return {
    nodeId: 'orders-1', subject: 'service/orders', requestId: 'r', at: since, side: 'outbound', method: 'GET', authority: 'payments', path: '/', route: '', destination: 'payments', status: 503, reason: '',
    responseFlag: '', kind: '', pointer: '', policy: '', configVersion: { epoch: 1, index: 41 }, configHash: '', detail: '', clientAddress: '', traceId: '', shadow: false, chain: null, held: [], ...more,
  };
}

function failed(outcome: string, more: Partial<StoredChain['tries'][number]> = {}): StoredChain['tries'][number] {
  return { attempt: 1, endpoint: 'payments-1', host: '10.0.0.7:80', outcome, status: 0, grpcStatus: -1, durationMs: 12, kind: '', pointer: '', policy: '', detail: '', ...more };
}

function trouble(more: Partial<StoredTrouble>): StoredTrouble {
  return { kind: 'outlierDetection', pointer: '/consecutive5xx', policy: 'baseline', detail: 'consecutive-5xx, 5 of 5', event: 'ejected', service: 'payments', host: '10.0.0.7:80', since, until: null, ...more };
}

function leftOut(...states: string[]): NonNullable<StoredChain['hosts']> {
  return { known: states.length, usable: 0, leftOutMore: 0, leftOut: states.map((state, i) => ({ host: `10.0.0.${7 + i}:80`, endpoint: '', state, until: null })) };
}

const rows: readonly [string, Partial<StoredRefusal>, object][] = [
  ['no instance is known', { reason: 'no-healthy-upstream', chain: { ...plainChain, hosts: leftOut() } }, { what: 'no instance of payments is known', kind: '' }],
  ['all hosts are ejected', { reason: 'no-healthy-upstream', chain: { ...plainChain, hosts: leftOut('ejected', 'ejected') }, held: [trouble({})] }, { what: '2 of 2 hosts ejected', figures: 'consecutive-5xx, 5 of 5', since, kind: 'outlierDetection', pointer: '/consecutive5xx', policy: 'baseline' }],
  ['hosts are out for several causes', { reason: 'no-destination', chain: { ...plainChain, hosts: leftOut('ejected', 'unhealthy', 'ejected') } }, { what: '2 of 3 hosts ejected, 1 of 3 hosts unhealthy', figures: '' }],
  ['the breaker is open', { reason: 'circuit-open', kind: 'circuitBreaker', pointer: '/open', held: [trouble({ kind: 'circuitBreaker', event: 'opened', host: '', pointer: '/failureRate', detail: '60 %, 12 of 20' })] }, { what: 'the breaker is open', figures: '60 %, 12 of 20', pointer: '/failureRate', policy: 'baseline' }],
  ['the breaker was open, and nobody says why', { reason: 'circuit-open', kind: 'circuitBreaker', pointer: '/open', policy: 'row', detail: 'the breaker is open' }, { what: 'the breaker is open', pointer: '/open', policy: 'row' }],
  ['somebody opened the breaker', { reason: 'circuit-open', kind: 'circuitBreaker', pointer: '', policy: 'row', detail: 'opened by hand: a release', held: [trouble({ kind: 'circuitBreaker', event: 'closed', host: '', detail: 'x' })] }, { what: 'opened by hand: a release', kind: '', policy: '', figures: '' }],
  ['a threshold', { reason: 'upstream-overflow', kind: 'circuitBreaker', pointer: '/thresholds/requests', policy: 'row', detail: 'at most 1' }, { what: 'upstream-overflow: at most 1', pointer: '/thresholds/requests', policy: 'row' }],
  ['a limit of time', { reason: 'upstream-timeout', kind: 'timeout', pointer: '/perTry', policy: 'row', detail: 'the limit of 150 ms has passed' }, { what: 'upstream-timeout: the limit of 150 ms has passed', pointer: '/perTry' }],
  ['the caller\'s deadline', { reason: 'upstream-timeout', chain: { ...plainChain, tries: [failed('upstream-timeout', { detail: 'the caller said that it would not wait any longer' })] } }, { what: 'upstream-timeout at 10.0.0.7:80 after 12 ms; the caller said that it would not wait any longer', kind: '' }],
  ['connections fail', { reason: 'connect-failure', chain: { ...plainChain, tries: [failed('connect-failure')], noFurther: allMade } }, { what: 'connect-failure at 10.0.0.7:80 after 12 ms; all retries have been made', kind: 'retry', pointer: '/retries', policy: 'row' }],
  ['a connection breaks', { reason: 'upstream-reset', chain: { ...plainChain, tries: [failed('upstream-reset')] } }, { what: 'upstream-reset at 10.0.0.7:80 after 12 ms' }],
  ['the budget is spent', { chain: { ...plainChain, tries: [failed('answered', { status: 503 })], noFurther: { ...allMade, pointer: '/budget', detail: 'the budget is spent' } } }, { what: '10.0.0.7:80 answered 503; the budget is spent', pointer: '/budget' }],
  ['a call of gRPC', { chain: { ...plainChain, tries: [failed('answered', { status: 200, grpcStatus: 14 })] } }, { what: '10.0.0.7:80 answered grpc-status 14' }],
  ['the provider sheds', { side: 'inbound', reason: 'concurrency-limited', kind: 'concurrency', pointer: '/limit', policy: 'row', held: [trouble({ kind: 'concurrency', event: 'shedding', host: '', detail: '3 under way' })] }, { what: 'concurrency-limited', figures: '3 under way', since, kind: 'concurrency' }],
];

test.each(rows)('%s', (_name, refusal, expected) => {
  expect(failureCause(hop(refusal))).toMatchObject(expected);
});

test('hops stand in the order in which the request went, whatever the clocks say', () => {
  const edge = hop({ nodeId: 'edge-1', subject: 'gateway/edge', side: 'gateway', destination: 'orders', at: '2026-11-22T12:00:09.000Z', chain: { ...plainChain, startedAt: '2026-11-22T12:00:08.000Z', tries: [failed('answered', { endpoint: 'orders-1' })] } });
  const inbound = hop({ side: 'inbound', destination: '', chain: { ...plainChain, startedAt: since } });
  const outbound = hop({ reason: 'no-healthy-upstream', chain: { ...plainChain, startedAt: '2026-11-22T12:00:00.002Z' } });
  const shadow = hop({ nodeId: 'payments-1', subject: 'service/payments', side: 'inbound', reason: 'unauthorized', shadow: true });
  for (const order of [[edge, inbound, outbound, shadow], [shadow, outbound, inbound, edge], [inbound, edge, shadow, outbound]]) {
    const hops = orderHops(order);
    expect(hops.map(({ refusal, before }) => [refusal.nodeId, refusal.side, before])).toEqual([['edge-1', 'gateway', null], ['orders-1', 'inbound', 0], ['orders-1', 'outbound', 1], ['payments-1', 'inbound', 2]]);
    expect(decidingHop(hops)).toBe(2);
  }
  expect(decidingHop(orderHops([shadow]))).toBeNull();
  expect(decidingHop(orderHops([edge, inbound]))).toBe(1);
  expect(orderHops([])).toEqual([]);
});

test('a hop that gave up long before those behind it decided', () => {
  const edge = hop({ nodeId: 'edge-1', subject: 'gateway/edge', side: 'gateway', destination: 'orders', reason: 'upstream-timeout', at: '2026-11-22T12:00:00.200Z', chain: { ...plainChain, tries: [failed('upstream-timeout', { endpoint: 'orders-1' })] } });
  const gone = hop({ side: 'inbound', destination: '', reason: 'downstream-reset', at: '2026-11-22T12:00:00.201Z', chain: plainChain });
  const late = hop({ reason: 'upstream-timeout', at: '2026-11-22T12:00:15.000Z', chain: plainChain });
  expect(decidingHop(orderHops([edge, gone, late]))).toBe(0);
  expect(decidingHop(orderHops([edge, gone, { ...late, at: '2026-11-22T12:00:00.199Z' }]))).toBe(2);
});
