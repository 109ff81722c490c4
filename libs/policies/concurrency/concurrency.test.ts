import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import type { Exchange } from '@remora/policy-kit/exchange';
import { shadowed } from '@remora/policy-kit/shadow';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange } from '@remora/testing/exchange-driver';
import { MemoryLiveState, TestFilterContext, type TestContextOptions } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { describe, expect, test } from 'vitest';
import { concurrencyAuthoring } from './compile.ts';
import { concurrencyRuntime } from './filter.ts';

testKindCases(import.meta.dirname, concurrencyAuthoring, concurrencyRuntime);

/** The inbound side of one service. */
class Scene {
  readonly context: TestFilterContext;
  readonly #filter;

  constructor(section: object, options: TestContextOptions = {}) {
    this.context = new TestFilterContext('concurrency', { scope: 'inbound/orders/', ...options });
    const { body } = concurrencyAuthoring.compile(effectiveSection(concurrencyAuthoring, section as never));
    const filter = concurrencyRuntime.edge?.(concurrencyRuntime.decode(body), this.context);
    if (!filter) throw new Error('invariant: it is a filter');
    this.#filter = this.context.shadow ? shadowed(filter, () => {}) : filter;
  }

  /** Null where it was shed. */
  begin(headers: Record<string, string> = {}): Exchange | null {
    const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers } }, this.context);
    const verdict = this.#filter.request?.(x) ?? null;
    if (verdict === null) return x;
    this.#filter.complete?.(x);
    this.last = verdict;
    return null;
  }

  last: unknown = null;

  end(x: Exchange | null, status = 200): void {
    if (x === null) throw new Error('it was shed');
    const head = buildResponseHead({ status });
    this.#filter.response?.(x, head);
    this.#filter.complete?.(x);
    this.#filter.complete?.(x);
  }

  get events(): string[] {
    return this.context.events.filter(({ renews }) => renews !== true).map(({ event, service, detail }) => `${event} ${service}: ${detail}`);
  }
}

const fixed = { mode: 'fixed', limit: 2 };

describe('a fixed limit', () => {
  test('sheds what is beyond it, with a reason and when to come again', () => {
    const scene = new Scene(fixed);
    const first = scene.begin();
    scene.begin();
    expect(scene.begin()).toBeNull();
    expect(scene.last).toMatchObject({ reason: { code: 'concurrency-limited' }, status: 503, pointer: '/limit', detail: '2 requests are under way, the limit is 2', fields: [{ name: 'retry-after', value: '1' }] });
    scene.end(first);
    expect(scene.begin()).not.toBeNull();
    expect(scene.context.counts.get('concurrency_shed')).toBe(1);
  });

  test('threads count together', () => {
    const live = new MemoryLiveState();
    const [one, other] = [new Scene(fixed, { live, rows: { rows: 2, own: 0 } }), new Scene(fixed, { live, rows: { rows: 2, own: 1 } })];
    one.begin();
    const second = other.begin();
    expect([one.begin(), other.begin()]).toEqual([null, null]);
    other.end(second);
    expect(one.begin()).not.toBeNull();
  });

  test('a connection that was switched makes room', () => {
    const scene = new Scene({ mode: 'fixed', limit: 1 });
    const x = scene.begin() as Exchange;
    x.tunnel = true;
    scene.end(x, 200);
    expect(scene.begin()).not.toBeNull();
  });

  test('in shadow everything goes, and it is told what would not', () => {
    const scene = new Scene({ mode: 'fixed', limit: 1 }, { shadow: true });
    expect([scene.begin(), scene.begin(), scene.begin()].map((x) => x !== null)).toEqual([true, true, true]);
    expect(scene.events).toEqual(['would-be-shedding orders: 1 under way, the limit is 1']);
    expect(scene.context.counts.get('concurrency_shed')).toBe(2);
  });
});

describe('priorities', () => {
  const priorities = {
    low: { share: '50%', match: { headers: { 'x-priority': { exact: 'low' } } } }, lowest: { share: '10%', match: { headers: { 'x-priority': { present: true } } } },
  };

  test('the lower ones are shed first; of several the widest share decides; one of each may always run', () => {
    const scene = new Scene({ mode: 'fixed', limit: 4, priorities });
    const lowest = scene.begin({ 'x-priority': 'none' });
    expect(lowest).not.toBeNull();
    expect(scene.begin({ 'x-priority': 'none' })).toBeNull();
    expect(scene.last).toMatchObject({ pointer: '/priorities/lowest', detail: '1 requests are under way, the limit is 4, of which lowest may use 10 %' });
    expect(scene.begin({ 'x-priority': 'low' })).not.toBeNull();
    expect(scene.begin({ 'x-priority': 'low' })).toBeNull();
    expect([scene.begin(), scene.begin(), scene.begin()].map((x) => x !== null)).toEqual([true, true, false]);
  });
});

describe('events', () => {
  test('shedding begins once, and is over when nothing was shed for ten seconds', () => {
    const scene = new Scene({ mode: 'fixed', limit: 1 });
    const x = scene.begin();
    scene.begin();
    scene.begin();
    scene.context.clock.advance(5000);
    scene.end(x);
    scene.end(scene.begin());
    scene.context.clock.advance(7000);
    scene.end(scene.begin());
    expect(scene.events).toEqual(['shedding orders: 1 under way, the limit is 1', 'ended orders: nothing was shed for 10 s, the limit is 1']);
  });
});

test('shedding ends by itself where no request comes any more, and holds while it goes on', () => {
  const scene = new Scene({ mode: 'fixed', limit: 1 });
  const nowMs = scene.context.clock.monotonicMs();
  scene.begin();
  scene.begin();
  scene.begin();
  scene.context.clock.advance(4_000);
  scene.begin();
  scene.begin();
  expect(scene.context.events.map(({ event, untilMs, renews = false }) => [event, untilMs - nowMs, renews])).toEqual([['shedding', 11_000, false], ['shedding', 15_000, true]]);
  scene.context.clock.advance(30_000);
  scene.begin();
  expect(scene.context.events.at(-1)).toMatchObject({ event: 'shedding', untilMs: nowMs + 45_000 });
  expect(scene.events).toHaveLength(2);
});

test('shedding is over with the last snapshot that limits, told once by all threads', () => {
  const live = new MemoryLiveState();
  const [scene, route] = [new Scene({ mode: 'fixed', limit: 1 }, { live }), new Scene({ mode: 'fixed', limit: 1 }, { live, scope: 'inbound/orders/slow' })];
  scene.begin();
  scene.begin();
  route.begin();
  live.lapse();
  live.lapse();
  expect([...scene.events, ...route.events].sort()).toEqual(['ended orders: requests are limited no more, or differently', 'shedding orders: 1 under way, the limit is 1']);
});

describe('an adaptive limit', () => {
  /** `times` rounds in which as many run as may, each `ms` long. */
  function run(scene: Scene, times: number, ms: number, status = 200): number {
    let most = 0;
    for (let i = 0; i < times; i += 1) {
      const running: Exchange[] = [];
      for (let x = scene.begin(); x !== null && running.length < 300; x = scene.begin()) running.push(x);
      most = Math.max(most, running.length);
      scene.context.clock.advance(ms);
      for (const x of running) scene.end(x, status);
    }
    return most;
  }

  test('grows while latency stays what it is', () => {
    expect(run(new Scene({}), 200, 50)).toBeGreaterThan(100);
  });

  test('failures say nothing of how long work takes; what did not answer in time does', () => {
    const scene = new Scene({});
    run(scene, 20, 10, 500);
    const x = scene.begin() as Exchange;
    x.refusal = scene.context.refuse(reasons.connectFailure, '', '');
    scene.end(x, 503);
    expect(run(scene, 1, 10)).toBe(20);
  });
});
