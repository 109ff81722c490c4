import { claimedIdentity } from '@remora/identity/node-identity';
import type { Batch, Series } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { createHistogram, observe, toProtoHistogram } from '@remora/telemetry/histogram';
import { describe, expect, test } from 'vitest';
import { ManualTime } from '../push/testdata/manual-time.ts';
import { createTelemetryHub, type TelemetryLimits } from './create-telemetry-hub.ts';

const peer = { address: '127.0.0.1:1', certificates: [] };

function fixture(limits: Partial<TelemetryLimits> = {}) {
  const time = new ManualTime();
  return { time, hub: createTelemetryHub({ clock: time, timers: time, identity: claimedIdentity, limits }) };
}

/** Cumulative values of a series after `requests` requests of `ms` each. */
function series(requests: number, change: Partial<Series> & { readonly ms?: number; readonly failed?: number } = {}): Series {
  const { ms = 10, failed = 0, ...rest } = change;
  const latency = createHistogram();
  for (let i = 0; i < requests; i++) observe(latency, ms);
  return {
    side: 'inbound', route: '', destination: '', target: '', requests: BigInt(requests), statusClasses: [0n, 0n, BigInt(requests - failed), 0n, 0n, BigInt(failed)],
    codes: [{ status: 200, count: BigInt(requests - failed) }, { status: 503, count: BigInt(failed) }], grpcCodes: [], bytesIn: 0n, bytesOut: 0n,
    latencyMs: toProtoHistogram(latency), refusals: [], retries: 0n, active: 0n, ...rest,
  };
}

function batch(sequence: number, all: readonly Series[], change: Partial<Batch> = {}): Batch {
  return {
    nodeId: 'orders-1', incarnation: 1n, subjectKind: 'service', subjectName: 'orders', sequence: BigInt(sequence), atMs: 0n, series: [...all], refusals: [], events: [],
    droppedBatches: 0n, ageMs: 1_000n, callers: [], unknown: [], health: [], healthLeftOut: 0n, ...change,
  };
}

describe('telemetry', () => {
  test('takes differences of cumulative values: a lost batch loses nothing, a repeated one counts once', () => {
    const { hub } = fixture();
    hub.ingest(batch(1, [series(10)]), peer);
    hub.ingest(batch(3, [series(30, { failed: 3 })]), peer);
    hub.ingest(batch(3, [series(30, { failed: 3 })]), peer);
    hub.ingest(batch(2, [series(20)]), peer);
    expect(hub.summary({ service: 'orders' }).total).toMatchObject({ requests: 30, errors: 3, errorShare: 0.1, codes: { 200: 27, 503: 3 } });
  });

  test('counts gRPC calls by their code, also once they are history', () => {
    const { hub, time } = fixture();
    const calls = (ok: number, unavailable: number): Partial<Series> => ({ grpcCodes: [{ status: 0, count: BigInt(ok) }, { status: 14, count: BigInt(unavailable) }, { status: 17, count: 1n }, { status: 99, count: 5n }] });
    hub.ingest(batch(1, [series(10, calls(8, 1))]), peer);
    time.advance(60_000);
    hub.ingest(batch(2, [series(30, calls(20, 9))]), peer);
    expect(hub.top({ by: 'subject', windowMs: 600_000 })).toMatchObject([{ grpcCodes: { OK: 20, UNAVAILABLE: 9, other: 1 } }]);
  });

  test('takes nothing for new that an old process counted before this control plane knew it', () => {
    const { hub } = fixture();
    hub.ingest(batch(900, [series(1_000)], { ageMs: 86_400_000n }), peer);
    expect(hub.summary({}).total.requests).toBe(0);
    hub.ingest(batch(901, [series(1_007)], { ageMs: 86_405_000n }), peer);
    expect(hub.summary({}).total.requests).toBe(7);
  });

  test('starts from zero with a new incarnation of a known node', () => {
    const { hub } = fixture();
    hub.ingest(batch(1, [series(10)]), peer);
    hub.ingest(batch(1, [series(4)], { incarnation: 2n, ageMs: 600_000n }), peer);
    expect(hub.summary({}).total.requests).toBe(14);
  });

  test('answers quantiles within the error of the layout', () => {
    const { hub } = fixture();
    hub.ingest(batch(1, [series(90, { ms: 10 }), series(10, { ms: 500, route: 'slow' })]), peer);
    const { total, routes } = hub.summary({ service: 'orders' });
    expect(total.p50Ms).toBeGreaterThan(9.5);
    expect(total.p50Ms).toBeLessThan(10.5);
    expect(total.p99Ms).toBeGreaterThan(475);
    expect(total.p99Ms).toBeLessThanOrEqual(500);
    expect(routes.map(({ route, requests }) => [route, requests])).toEqual([['', 90], ['slow', 10]]);
  });

  test('forgets by windows: ten seconds, a minute, an hour', () => {
    const { hub, time } = fixture();
    hub.ingest(batch(1, [series(100)]), peer);
    time.advance(30_000);
    expect(hub.summary({ windowMs: 10_000 }).total.requests).toBe(0);
    expect(hub.summary({ windowMs: 60_000 }).total.requests).toBe(100);
    time.advance(60_000);
    expect(hub.summary({ windowMs: 60_000 }).total.requests).toBe(0);
    expect(hub.summary({ windowMs: 3_600_000 }).total.requests).toBe(100);
    time.advance(3_600_000);
    expect(hub.summary({ windowMs: 3_600_000 }).total.requests).toBe(0);
    expect(hub.sizes().series).toBe(0);
  });

  test('spreads what a sidecar counted during a gap over the gap', () => {
    const { hub, time } = fixture();
    hub.ingest(batch(1, [series(0)]), peer);
    time.advance(300_000);
    hub.ingest(batch(2, [series(300)]), peer);
    expect(hub.summary({ windowMs: 60_000 }).total.requests).toBe(60);
    expect(hub.summary({ windowMs: 600_000 }).total.requests).toBe(300);
  });

  test('counts each request once, and shows who calls whom as the callers see it', () => {
    const { hub } = fixture();
    hub.ingest(batch(1, [series(5)]), peer);
    hub.ingest(batch(1, [series(5, { side: 'outbound', destination: 'orders', ms: 12 })], { nodeId: 'web-1', subjectName: 'web' }), peer);
    hub.ingest(batch(1, [series(7, { side: 'gateway', destination: 'web', route: 'all' })], { nodeId: 'edge-1', subjectKind: 'gateway', subjectName: 'edge' }), peer);
    expect(hub.summary({}).total.requests).toBe(12);
    expect(hub.summary({ service: 'orders' })).toMatchObject({ total: { requests: 5 }, edges: [{ caller: 'service/web', service: 'orders', requests: 5 }] });
    expect(hub.summary({ caller: 'service/web' }).total.requests).toBe(5);
    expect(hub.summary({ gateway: 'edge' })).toMatchObject({ total: { requests: 7 }, edges: [{ caller: 'gateway/edge', service: 'web' }] });
    expect(hub.top({ by: 'subject' }).map(({ name, requests }) => [name, requests])).toEqual([['gateway/edge', 7], ['service/orders', 5]]);
    expect(hub.top({ by: 'edge' }).map(({ name }) => name)).toEqual(['gateway/edge → web', 'service/web → orders']);
    expect(hub.top({ by: 'route', limit: 1 }).map(({ name }) => name)).toEqual(['gateway/edge/all']);
  });

  test('keeps refusals by reason and policy, shadow apart', () => {
    const { hub } = fixture();
    const reason = { reason: 'rate-limited', kind: 'rateLimit', policy: 'baseline', shadow: false, count: 4n };
    hub.ingest(batch(1, [series(10, { refusals: [reason, { ...reason, shadow: true, count: 2n }] })]), peer);
    const { refusals, shadow, series: points } = hub.summary({ service: 'orders' });
    expect(refusals).toEqual([{ reason: 'rate-limited', kind: 'rateLimit', policy: 'baseline', count: 4 }]);
    expect(shadow).toEqual([{ reason: 'rate-limited', kind: 'rateLimit', policy: 'baseline', count: 2 }]);
    expect(points.at(-1)).toMatchObject({ requests: 10, refused: 4 });
  });

  test('bounds the number of series: totals stay right', () => {
    const { hub } = fixture({ seriesMax: 10 });
    hub.ingest(batch(1, Array.from({ length: 50 }, (_, i) => series(1, { route: `r${i}` }))), peer);
    expect(hub.sizes()).toMatchObject({ series: 11, overflowedSeries: 40 });
    expect(hub.summary({ service: 'orders' }).total.requests).toBe(50);
    expect(hub.summary({ service: 'orders' }).routes[0]).toMatchObject({ route: '_overflow', requests: 40 });
  });

  test('bounds the memory of the history: the oldest go first', () => {
    const { hub, time } = fixture({ historyBytesMax: 2_000 });
    for (let i = 1; i <= 100; i++) {
      hub.ingest(batch(i, Array.from({ length: 10 }, (_, r) => series(i, { route: `r${r}` }))), peer);
      time.advance(10_000);
    }
    const { windowMs, total } = hub.summary({ windowMs: 3_600_000 });
    expect(hub.sizes().historyBytes).toBeLessThanOrEqual(2_000);
    expect(windowMs).toBeLessThan(300_000);
    expect(total.requests).toBeGreaterThan(0);
  });

  test.each([
    [{ nodeId: '' }, /^node_id/], [{ nodeId: 'a b' }, /^node_id/], [{ subjectKind: 'mesh' }, /^subject_kind/], [{ subjectName: '' }, /^subject_name/],
  ])('refuses %j, naming the field', (change, problem) => {
    const { hub } = fixture();
    expect(hub.ingest(batch(1, [], change), peer)).toMatch(problem);
    expect(hub.sizes().rejectedBatches).toBe(1);
  });

  test('survives names such as __proto__ and histograms of another layout', () => {
    const { hub } = fixture();
    const odd = series(3, { route: '__proto__', refusals: [{ reason: 'constructor', kind: '', policy: '__proto__', shadow: false, count: 1n }] });
    if (odd.latencyMs) odd.latencyMs.scale = 20;
    hub.ingest(batch(1, [odd], { events: [{ atMs: 2n ** 63n, type: 'x', message: '', attributes: { __proto__: 'x' } }] }), peer);
    const { total, routes, refusals } = hub.summary({});
    expect(total).toMatchObject({ requests: 3, p99Ms: 0 });
    expect(routes[0]?.route).toBe('__proto__');
    expect(refusals[0]?.policy).toBe('__proto__');
    expect(hub.events({ limit: 10 })).toHaveLength(1);
  });
});

describe('refusals', () => {
  const refusal = {
    requestId: 'r-1', atMs: 1_000n, side: 'inbound', method: 'GET', authority: 'orders', path: '/', route: '', destination: '', status: 429, reason: 'rate-limited',
    responseFlag: 'RL', kind: 'rateLimit', pointer: '/limits/a', policy: 'baseline', configEpoch: 100n, configIndex: 41n, detail: '', clientAddress: '', traceId: '', shadow: false, chain: undefined, held: [],
    configHash: Buffer.alloc(32),
  };

  test('are found by request, sidecar, service and reason; the newest first', () => {
    const { hub } = fixture();
    hub.ingest(batch(1, [], { refusals: [refusal, { ...refusal, requestId: 'r-2', reason: 'no-route' }] }), peer);
    hub.ingest(batch(1, [], { nodeId: 'web-1', subjectName: 'web', refusals: [refusal] }), peer);
    expect(hub.refusals({ requestId: 'r-1', limit: 10 }).map(({ nodeId }) => nodeId)).toEqual(['web-1', 'orders-1']);
    expect(hub.refusals({ service: 'orders', limit: 10 }).map(({ requestId }) => requestId)).toEqual(['r-2', 'r-1']);
    expect(hub.refusals({ reason: 'no-route', limit: 10 })).toHaveLength(1);
    expect(hub.refusals({ requestId: 'r-1', limit: 10 })[0]).toMatchObject({ subject: 'service/web', configVersion: { epoch: 100, index: 41 }, at: '1970-01-01T00:00:01.000Z' });
  });

  test('are bounded per sidecar and in total', () => {
    const { hub } = fixture({ refusalsPerSidecar: 3, refusalsMax: 5 });
    for (let i = 0; i < 10; i++) hub.ingest(batch(i + 1, [], { refusals: [{ ...refusal, requestId: `a-${i}` }] }), peer);
    expect(hub.refusals({ limit: 100 }).map(({ requestId }) => requestId)).toEqual(['a-9', 'a-8', 'a-7']);
    for (let i = 0; i < 4; i++) hub.ingest(batch(1, [], { nodeId: `other-${i}`, refusals: [{ ...refusal, requestId: `b-${i}` }] }), peer);
    expect(hub.sizes().refusals).toBe(5);
    expect(hub.refusals({ requestId: 'a-7', limit: 1 })).toEqual([]);
  });
});

describe('targets of Routes', () => {
  const split = (target: string, requests: number, failed = 0): Series => series(requests, { side: 'outbound', route: 'split', destination: 'orders', target, failed });
  const web = { subjectName: 'web', nodeId: 'web-1' };

  test('are told apart, over all callers, as their callers saw them', () => {
    const { hub, time } = fixture();
    hub.ingest(batch(1, [split('version=v1', 90), split('version=v2', 10, 2), split('', 5), series(50)], web), peer);
    time.advance(5_000);
    hub.ingest(batch(2, [split('version=v1', 100), split('version=v2', 30, 7)], web), peer);
    const edge = series(4, { side: 'gateway', route: 'api', destination: 'orders', target: 'version=v2', failed: 1 });
    hub.ingest(batch(1, [{ ...edge, statusClasses: [1n, 0n, 2n, 0n, 0n, 1n] }], { subjectKind: 'gateway', subjectName: 'edge', nodeId: 'edge-1' }), peer);
    expect(hub.targets.read('orders', { version: 'v1' })).toMatchObject({ requests: 100, errors: 0, reportedAtMs: time.monotonicMs() });
    const candidate = hub.targets.read('orders', { version: 'v2' });
    expect(candidate).toMatchObject({ requests: 34, errors: 9 });
    expect(candidate?.latency.reduce((sum, count) => sum + count, 0)).toBe(34);
    expect(hub.targets.read('orders', { version: 'v3' })).toBeNull();
    expect(hub.targets.read('orders', {})).toBeNull();
    // What a caller did is one edge still.
    expect(hub.summary({ caller: 'service/web', service: 'orders' }).total.requests).toBe(135);
  });

  test('say when they were last reported, also without new requests', () => {
    const { hub, time } = fixture();
    hub.ingest(batch(1, [split('version=v2', 10)], web), peer);
    time.advance(60_000);
    expect(time.monotonicMs() - (hub.targets.read('orders', { version: 'v2' })?.reportedAtMs ?? 0)).toBe(60_000);
    hub.ingest(batch(2, [split('version=v2', 10)], web), peer);
    expect(hub.targets.read('orders', { version: 'v2' })).toMatchObject({ requests: 10, reportedAtMs: time.monotonicMs() });
  });
});
