import { reasons } from '@remora/errors/reason';
import { headerId } from '@remora/http/header-ids';
import { buildResponseHead } from '@remora/http/head-builder';
import { controlPlaneTimeFacts } from '@remora/policy-kit/control-plane-time';
import { breakerOrdersKind, decodeBreakerOrder, encodeBreakerOrder, type BreakerOrder } from '@remora/policy-kit/breaker-orders';
import { FactBooks } from '@remora/policy-kit/facts';
import { effectiveSection } from '@remora/testing/effective-section';
import { MemoryLiveState, TestFilterContext, type TestContextOptions } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import { describe, expect, test } from 'vitest';
import { circuitBreakerAuthoring } from './compile.ts';
import { circuitBreakerRuntime } from './filter.ts';

testKindCases(import.meta.dirname, circuitBreakerAuthoring, circuitBreakerRuntime);

const get = { request: { method: 'GET', authority: 'payments', target: '/', headers: {}, bodyLength: 0 } };
const post = { request: { method: 'POST', authority: 'payments', target: '/', headers: {}, bodyLength: 5 } };
const quick = { consecutiveFailures: 3, open: { base: '1s', max: '4s', jitter: 0 }, halfOpen: { probes: 1, successes: 2, patience: '1s' } };

/** One caller's place with calls to payments; others beside it share its memory. */
class Scene {
  readonly context: TestFilterContext;
  readonly clock: ManualClock;
  readonly #layer;

  constructor(section: object, options: TestContextOptions & { readonly beside?: Scene } = {}) {
    const { beside } = options;
    this.clock = beside?.clock ?? new ManualClock();
    this.context = new TestFilterContext('circuitBreaker', {
      side: 'outbound', scope: 'outbound/web/to/payments/', clock: this.clock, live: beside?.context.live ?? new MemoryLiveState(), factBooks: beside?.context.factBooks ?? new FactBooks(), ...options,
    });
    const { body } = circuitBreakerAuthoring.compile(effectiveSection(circuitBreakerAuthoring, section as never));
    const layer = circuitBreakerRuntime.layer?.(circuitBreakerRuntime.decode(body), this.context);
    if (!layer) throw new Error('invariant: it is a layer');
    this.#layer = layer;
  }

  call(step: typeof get = get, attempt = 1): LayerDriver {
    return new LayerDriver(this.#layer, this.context, step, { attempt });
  }

  answers(status: number, times = 1): void {
    for (let i = 0; i < times; i += 1) this.call().last.answer(status);
  }

  order(order: BreakerOrder): void {
    this.context.factBooks.apply({ kind: breakerOrdersKind, full: true, facts: new Map([['payments', encodeBreakerOrder(order)]]) });
  }

  get events(): string[] {
    return this.context.events.map(({ event }) => event);
  }
}

async function refusalOf(driver: LayerDriver): Promise<string> {
  await Promise.resolve();
  const { x, response, attempts } = driver;
  const wait = x.limit?.fields?.find(({ id }) => id === headerId('retry-after'));
  return `${attempts.length === 0 ? '' : 'sent, '}${response.lastReset?.code ?? ''} ${x.limit?.kind ?? ''}${x.limit?.pointer ?? ''}${wait === undefined ? '' : ` after ${wait.value}`}`;
}

describe('the machine', () => {
  test('opens by failures in a row, tries again, closes', async () => {
    const scene = new Scene(quick);
    scene.answers(500, 3);
    expect(await refusalOf(scene.call())).toBe('circuit-open circuitBreaker/open after 1');
    expect(scene.context.counts.get('circuitBreaker_refused')).toBe(1);
    scene.clock.advance(1020);
    const probe = scene.call();
    expect(await refusalOf(scene.call())).toMatch(/^circuit-open/);
    probe.last.answer(200);
    scene.answers(200);
    expect(scene.events).toEqual(['opened', 'half-open', 'closed']);
    expect(scene.context.events[0]).toMatchObject({ kind: 'circuitBreaker', service: 'payments', pointer: '/consecutiveFailures', detail: 'consecutive failures, 3 of 3' });
    scene.answers(200, 5);
  });

  test('each opening without a closing between lasts twice as long, up to the longest', async () => {
    const scene = new Scene(quick);
    scene.answers(500, 3);
    for (const seconds of [1, 2, 4, 4]) {
      expect(await refusalOf(scene.call())).toContain(`after ${seconds}`);
      scene.clock.advance(seconds * 1000 + 20);
      scene.answers(503);
    }
  });

  test('a probe that never ends is given up after its patience', async () => {
    const scene = new Scene(quick);
    scene.answers(500, 3);
    scene.clock.advance(1020);
    const lost = scene.call();
    expect(await refusalOf(scene.call())).toMatch(/^circuit-open/);
    scene.clock.advance(1020);
    scene.answers(200, 2);
    lost.last.answer(500);
    expect(scene.events).toEqual(['opened', 'half-open', 'closed']);
  });

  test('a probe that the client breaks off gives its permit back', () => {
    const scene = new Scene(quick);
    scene.answers(500, 3);
    scene.clock.advance(1020);
    scene.call().response.bound?.stop(reasons.downstreamReset);
    scene.call(post).request.reset(reasons.downstreamReset);
    scene.answers(200, 2);
    expect(scene.events).toEqual(['opened', 'half-open', 'closed']);
  });

  test.each([
    ['no connection', (scene: Scene) => scene.call().last.fail(reasons.connectFailure), true],
    ['a connection that breaks', (scene: Scene) => scene.call().last.fail(reasons.upstreamReset), true],
    ['no answer in time', (scene: Scene) => scene.call().last.fail(reasons.upstreamTimeout), true],
    ['nobody there', (scene: Scene) => scene.call().last.fail(reasons.noHealthyUpstream), false],
    ['too much of our own', (scene: Scene) => scene.call().last.fail(reasons.overflow), false],
    ['a client that leaves', (scene: Scene) => scene.call().response.bound?.stop(reasons.downstreamReset), false],
    ['a 404', (scene: Scene) => scene.answers(404), false],
    ['UNAVAILABLE in the head', (scene: Scene) => scene.call().last.answer(200, { 'content-type': 'application/grpc', 'grpc-status': '14' }), true],
    ['NOT_FOUND in the head', (scene: Scene) => scene.call().last.answer(200, { 'content-type': 'application/grpc', 'grpc-status': '5' }), false],
    ['INTERNAL in the trailers', (scene: Scene) => {
      const { last } = scene.call();
      last.response.head(buildResponseHead({ status: 200, headers: { 'content-type': 'application/grpc' }, bodyLength: -1 }), false);
      last.response.trailers(buildResponseHead({ status: 0, headers: { 'grpc-status': '13' } }));
    }, true],
  ])('%s counts as it should', (_name, fails, failed) => {
    const scene = new Scene(quick);
    for (let i = 0; i < 3; i += 1) fails(scene);
    expect(scene.events).toEqual(failed ? ['opened'] : []);
  });

  test('judges a share of slow calls, those that somebody gave up on included', () => {
    const scene = new Scene({ slowCallRate: '50%', slowCall: '1s', window: 10, minimumCalls: 4 });
    scene.answers(200, 2);
    for (let i = 0; i < 2; i += 1) {
      const slow = scene.call();
      scene.clock.advance(1000);
      if (i === 0) slow.last.answer(200);
      else slow.response.bound?.stop(reasons.downstreamReset);
    }
    expect(scene.context.events.map(({ event, pointer, detail }) => `${event} ${pointer} ${detail}`)).toEqual(['opened /slowCallRate 2 of 4 calls took 1000 ms and longer, 50 % open it']);
  });

  test('threads share it, and a snapshot with the same settings goes on with it', async () => {
    const first = new Scene({ ...quick, failureRate: '50%', window: '10s', minimumCalls: 4 }, { rows: { rows: 2, own: 0 } });
    const second = new Scene({ ...quick, failureRate: '50%', window: '10s', minimumCalls: 4 }, { rows: { rows: 2, own: 1 }, beside: first });
    first.answers(200);
    second.answers(500);
    first.answers(200);
    second.answers(500);
    expect([first.events, second.events]).toEqual([[], ['opened']]);
    expect(await refusalOf(first.call())).toMatch(/^circuit-open/);
    expect(await refusalOf(new Scene({ ...quick, failureRate: '50%', window: '10s', minimumCalls: 4 }, { rows: { rows: 2, own: 0 }, beside: first }).call())).toMatch(/^circuit-open/);
  });

  test('routes with the same settings have one, others their own', async () => {
    const usual = new Scene(quick);
    const route = new Scene(quick, { beside: usual, scope: 'outbound/web/to/payments/slow' });
    const own = new Scene({ ...quick, consecutiveFailures: 4 }, { beside: usual, scope: 'outbound/web/to/payments/other' });
    usual.answers(500, 3);
    expect(await refusalOf(route.call())).toMatch(/^circuit-open/);
    own.answers(200);
  });

  test('in shadow it says what it would do, and refuses nothing', () => {
    const scene = new Scene({ ...quick, thresholds: { requests: 1, retries: 0 } }, { shadow: true });
    scene.answers(500, 3);
    const open = [scene.call(), scene.call()];
    expect(open.map(({ attempts }) => attempts.length)).toEqual([1, 1]);
    expect(scene.events).toEqual(['would-be-opened']);
    expect([...scene.context.counts]).toEqual([['circuitBreaker_refused', 2], ['circuitBreaker_overflowed', 1]]);
  });
});

describe('by hand', () => {
  test('open until its end, whatever the settings; closed for as long as somebody says', async () => {
    const scene = new Scene({});
    scene.order({ what: 'open', untilMs: scene.clock.wallMs() + 60_000, reason: 'the ledger is being repaired' });
    expect(await refusalOf(scene.call())).toBe('circuit-open circuitBreaker after 60');
    scene.clock.advance(60_000);
    scene.answers(200);
  });

  test('closing closes what failures have opened, and keeps it closed', async () => {
    const scene = new Scene(quick);
    scene.answers(500, 3);
    scene.order({ what: 'closed', untilMs: scene.clock.wallMs() + 10_000, reason: 'repaired' });
    scene.answers(500, 5);
    expect(scene.context.events.map(({ event, detail }) => `${event}: ${detail}`)).toEqual(['opened: consecutive failures, 3 of 3', 'closed: by hand: repaired']);
    scene.clock.advance(10_000);
    scene.answers(500, 3);
    expect(await refusalOf(scene.call())).toMatch(/^circuit-open/);
  });

  test.each([3_600_000, -3_600_000])('our own clock is set by %i ms: the order ends when it should', async (by) => {
    const scene = new Scene({});
    const untilMs = scene.clock.wallMs() + 60_000;
    scene.order({ what: 'open', untilMs, reason: '' });
    expect(await refusalOf(scene.call())).toMatch(/^circuit-open/);
    scene.clock.stepWall(by);
    // Something else was said meanwhile, and this came along again.
    scene.order({ what: 'open', untilMs, reason: '' });
    scene.clock.advance(59_999);
    expect(await refusalOf(scene.call())).toBe('circuit-open circuitBreaker after 1');
    scene.clock.advance(1);
    scene.answers(200);
  });

  test.each([3_600_000, -3_600_000])('the clock of the control plane differs by %i ms: the order ends by that one', async (ahead) => {
    const scene = new Scene({});
    scene.context.factBooks.apply(controlPlaneTimeFacts(scene.clock.wallMs() + ahead - scene.clock.monotonicMs()));
    scene.order({ what: 'open', untilMs: scene.clock.wallMs() + ahead + 60_000, reason: '' });
    scene.clock.advance(59_999);
    expect(await refusalOf(scene.call())).toBe('circuit-open circuitBreaker after 1');
    scene.clock.advance(1);
    scene.answers(200);
  });

  test.each([3_600_000, -3_600_000])('our own clock is set by %i ms: what opened by itself closes when it would have', async (by) => {
    const scene = new Scene(quick);
    scene.answers(500, 3);
    const before = await refusalOf(scene.call());
    scene.clock.stepWall(by);
    expect(await refusalOf(scene.call())).toBe(before);
  });

  test.each(['{', '[]', '{"what":"ajar","untilMs":1,"reason":""}', '{"what":"open","untilMs":"1","reason":""}', `{"what":"open","untilMs":1,"reason":"${'x'.repeat(501)}"}`])('%s is no order', (text) => {
    expect(decodeBreakerOrder(Buffer.from(text))).toBeNull();
  });
});

describe('thresholds', () => {
  test('requests, with those of other threads, until their answers have ended', async () => {
    const scene = new Scene({ thresholds: { requests: 2, retries: 0 } }, { rows: { rows: 2, own: 0 } });
    const other = new Scene({ thresholds: { requests: 2, retries: 0 } }, { rows: { rows: 2, own: 1 }, beside: scene });
    const first = scene.call();
    const second = other.call();
    expect(await refusalOf(scene.call())).toBe('upstream-overflow circuitBreaker/thresholds/requests');
    first.last.answer(200, {}, 'ok');
    scene.answers(200);
    second.response.bound?.stop(reasons.downstreamReset);
    scene.call();
    scene.call();
    expect(await refusalOf(other.call())).toMatch(/^upstream-overflow/);
  });

  test('retries', async () => {
    const scene = new Scene({ thresholds: { retries: 1 } });
    scene.call();
    const retry = scene.call(get, 2);
    expect(await refusalOf(scene.call(get, 3))).toBe('upstream-overflow circuitBreaker/thresholds/retries');
    retry.last.fail();
    expect(scene.call(get, 2).attempts).toHaveLength(1);
  });

  test('connections and waiting calls, as pools ask: the first of a pool always goes', () => {
    const scene = new Scene({ thresholds: { connections: 1, pending: 1 } });
    const { call } = scene.call().last;
    const { room } = call;
    expect([room?.connect(false), room?.connect(false), room?.connect(true)]).toEqual([true, false, true]);
    room?.disconnected();
    room?.disconnected();
    expect([room?.connect(false), room?.wait(call.x), call.x.limit, room?.wait(call.x), call.x.limit?.pointer]).toEqual([true, true, null, false, '/thresholds/pending']);
    room?.waited();
    expect(room?.wait(call.x)).toBe(true);
    expect(scene.context.counts.get('circuitBreaker_overflowed')).toBe(3);
  });

  test('what was told to end is silent, and counts for nobody', async () => {
    const scene = new Scene({ thresholds: { requests: 1, retries: 0 } });
    scene.call();
    const refused = scene.call();
    refused.response.bound?.stop(reasons.downstreamReset);
    await Promise.resolve();
    expect(refused.response.events).toEqual([]);
  });
});
