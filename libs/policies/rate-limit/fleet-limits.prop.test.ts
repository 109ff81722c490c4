import type { JsonObject } from '@remora/core/canonical-json';
import { seededRandom } from '@remora/core/random';
import { WAIT, type EdgeFilter, type Exchange } from '@remora/policy-kit/exchange';
import { encodeInstanceCount, instanceCountName, instancesFactKind } from '@remora/policy-kit/instance-share';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { ManualClock } from '@remora/testing/manual-clock';
import { MemoryCounts } from '@remora/testing/memory-counts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rateLimitAuthoring } from './compile.ts';
import { rateLimitRuntime } from './filter.ts';

const deadlineMs = 10;

/** Sidecars that count in one store, each with a clock-driven delay of the store's answers. */
class Fleet {
  readonly clock = new ManualClock();
  readonly store = new MemoryCounts(this.clock);
  readonly members: Member[];
  /** Instants of what was let in. */
  readonly admitted: number[] = [];
  refused = 0;
  requests = 0;

  constructor(count: number, limit: JsonObject) {
    this.members = Array.from({ length: count }, () => new Member(this, limit, count));
  }

  /** Moves time on in steps of a millisecond, so that answers and deadlines come when they are due. */
  advance(ms: number): void {
    for (let i = 0; i < ms; i++) {
      this.clock.advance(1);
      for (const member of this.members) member.tick();
    }
  }
}

class Member {
  readonly context: TestFilterContext;
  readonly filter: EdgeFilter;
  delayMs = 1;
  /** Until a question reaches the store. */
  travelMs = 0;
  readonly #fleet: Fleet;
  #answered = 0;
  readonly #due: { readonly at: number; readonly run: () => void }[] = [];

  constructor(fleet: Fleet, limit: JsonObject, count: number) {
    this.#fleet = fleet;
    this.context = new TestFilterContext('rateLimit', { clock: fleet.clock });
    fleet.store.announce(this.context.factBooks, deadlineMs);
    this.context.factBooks.apply({ kind: instancesFactKind, full: true, facts: new Map([[instanceCountName, encodeInstanceCount(count)]]) });
    const body = rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { limits: { whole: { ...limit, sharedBy: 'fleet' } }, headerStyle: 'none' })).body;
    this.filter = rateLimitRuntime.edge?.(rateLimitRuntime.decode(body), this.context) ?? { kind: 'rateLimit' };
  }

  request(): void {
    const x: Exchange = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, this.context);
    this.#fleet.requests += 1;
    const settle = (passed: boolean) => (token: number): void => {
      if (x.token !== token) return;
      x.token += 1;
      this.#settled(passed);
    };
    x.proceed = settle(true);
    x.answer = settle(false);
    const verdict = this.filter.request?.(x) ?? null;
    if (verdict !== WAIT) this.#settled(verdict === null);
    this.#send();
  }

  tick(): void {
    const nowMs = this.#fleet.clock.monotonicMs();
    for (const due of this.#due.filter(({ at }) => at <= nowMs)) {
      this.#due.splice(this.#due.indexOf(due), 1);
      due.run();
    }
    this.context.timers.advance(0);
    this.#send();
  }

  /** A question reaches the store at once, or after `travelMs`; its answer takes a while. */
  #send(): void {
    for (; this.#answered < this.context.asked.length; this.#answered++) {
      const question = this.context.asked[this.#answered];
      const reach = (): void => {
        const answer = question ? this.#fleet.store.answer(question.body) : null;
        this.#due.push({ at: this.#fleet.clock.monotonicMs() + this.delayMs, run: () => question?.answered(answer) });
      };
      if (this.travelMs === 0) reach();
      else this.#due.push({ at: this.#fleet.clock.monotonicMs() + this.travelMs, run: reach });
    }
  }

  #settled(passed: boolean): void {
    if (passed) this.#fleet.admitted.push(this.#fleet.clock.monotonicMs());
    else this.#fleet.refused += 1;
  }
}

/** The most that was let in within any span. */
function mostWithin(instants: readonly number[], spanMs: number): number {
  const sorted = [...instants].sort((a, b) => a - b);
  let most = 0;
  for (let from = 0, to = 0; to < sorted.length; to++) {
    while ((sorted[to] as number) - (sorted[from] as number) >= spanMs) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

describe('a limit of the fleet', () => {
  test.each(['fixedWindow', 'slidingWindow', 'tokenBucket'])('%s, at most 1,000: exactly what the limit is, whatever comes where and however slow the store', (algorithm) => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 6 }), fc.integer(), fc.integer({ min: 0, max: 8 }), (requests, count, seed, delayMs) => {
      const random = seededRandom(seed);
      const fleet = new Fleet(count, { algorithm, requests, per: '30d' });
      for (const member of fleet.members) member.delayMs = Math.round(random.next() * delayMs);
      for (let i = 0; i < requests * 3; i++) {
        fleet.members[Math.floor(random.next() * count)]?.request();
        if (random.next() < 0.3) fleet.advance(1);
      }
      fleet.advance(deadlineMs * 2);
      expect([fleet.admitted.length, fleet.refused]).toEqual([requests, requests * 2]);
    }), { numRuns: 60 });
  });

  test('with leases: never more than the limit and the leases that are out, and a steady load is let in as the limit says, with few questions', () => {
    fc.assert(fc.property(fc.integer({ min: 2_000, max: 8_000 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 50, max: 300 }), fc.integer(), (requests, count, load, seed) => {
      const random = seededRandom(seed);
      // Who waits until the deadline is refused: what each would let in by itself is another matter.
      const fleet = new Fleet(count, { algorithm: 'tokenBucket', requests, per: '1s', burst: 1_200, onStoreFailure: 'closed' });
      const offered = (requests * load) / 100;
      const seconds = 2;
      let due = 0;
      for (let ms = 0; ms < seconds * 1_000; ms++) {
        for (due += offered / 1_000; due >= 1; due -= 1) fleet.members[Math.floor(random.next() * count)]?.request();
        fleet.advance(1);
      }
      fleet.advance(deadlineMs * 2);
      const most = 1_200 + requests * seconds;
      const expected = Math.min(offered * seconds, most);
      expect(fleet.admitted.length).toBeLessThanOrEqual(most + (requests * deadlineMs * 2) / 1_000 + 1);
      expect(fleet.admitted.length).toBeGreaterThan(expected * 0.97);
      expect(mostWithin(fleet.admitted, 100)).toBeLessThanOrEqual(1_200 + requests / 10 + count * 1_200 * 0.02 + 1);
      expect(fleet.store.asked / fleet.requests).toBeLessThan(load < 100 ? 0.12 : 0.1);
    }), { numRuns: 6 });
  }, 60_000);

  test('with leases of a fixed window: never more than the limit in a window, whatever is left of the one before', () => {
    fc.assert(fc.property(fc.integer({ min: 1_500, max: 6_000 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 3 }), fc.integer(), (requests, count, delayMs, seed) => {
      const random = seededRandom(seed);
      const fleet = new Fleet(count, { algorithm: 'fixedWindow', requests, per: '1s', onStoreFailure: 'closed' });
      for (const member of fleet.members) member.delayMs = delayMs;
      let due = 0;
      for (let ms = 0; ms < 3_000; ms++) {
        for (due += (requests * 1.5) / 1_000; due >= 1; due -= 1) fleet.members[Math.floor(random.next() * count)]?.request();
        fleet.advance(1);
      }
      const windows = new Map<number, number>();
      for (const at of fleet.admitted) windows.set(Math.floor(at / 1_000), (windows.get(Math.floor(at / 1_000)) ?? 0) + 1);
      for (const admitted of windows.values()) {
        expect(admitted).toBeLessThanOrEqual(requests);
        expect(admitted).toBeGreaterThan(requests * 0.98);
      }
    }), { numRuns: 6 });
  }, 60_000);

  test.each([['fixedWindow', 4], ['slidingWindow', 3]])('%s: what an answer brought that came a window too late is not given back into the next', (algorithm, room) => {
    const fleet = new Fleet(3, { algorithm, requests: 4, per: '1s', onStoreFailure: 'closed' });
    const [slow, quick, other] = fleet.members as [Member, Member, Member];
    slow.delayMs = 18;
    fleet.advance(990);
    slow.request();
    fleet.advance(12);
    for (let n = 0; n < 5; n++) quick.request();
    fleet.advance(3);
    expect(fleet.admitted).toHaveLength(room);
    // The answer comes, and nobody waits for it any more.
    fleet.advance(10);
    for (let n = 0; n < 5; n++) other.request();
    fleet.advance(3);
    expect(fleet.admitted).toHaveLength(room);
  });

  test.each(['fixedWindow', 'slidingWindow'])('%s: what is given back in time, and reaches the store when the window is over, is none of the next', (algorithm) => {
    const fleet = new Fleet(3, { algorithm, requests: 4, per: '1s', onStoreFailure: 'closed' });
    const [slow, quick, other] = fleet.members as [Member, Member, Member];
    slow.delayMs = 15;
    fleet.advance(970);
    slow.request();
    slow.travelMs = 30;
    // Nobody waits for the answer when it comes, 15 ms before the window ends.
    fleet.advance(32);
    for (let n = 0; n < 5; n++) quick.request();
    fleet.advance(3);
    const before = fleet.admitted.length;
    expect(before).toBe(algorithm === 'fixedWindow' ? 4 : 3);
    fleet.advance(20);
    for (let n = 0; n < 5; n++) other.request();
    fleet.advance(3);
    // A sliding window no longer has the one of the window before: there is room for what nobody used, and for no more.
    expect(fleet.admitted).toHaveLength(4);
  });

  test('a store that goes away: each lets in its part, and nobody waits for long; when it is back it counts on', () => {
    const fleet = new Fleet(4, { algorithm: 'tokenBucket', requests: 400, per: '1s', burst: 40 });
    const run = (ms: number): number => {
      const before = fleet.admitted.length;
      for (let i = 0; i < ms; i++) {
        for (const member of fleet.members) member.request();
        fleet.advance(1);
      }
      return fleet.admitted.length - before;
    };
    run(500);
    expect(run(1_000)).toBeGreaterThan(390);
    fleet.store.away = true;
    run(500);
    const without = run(1_000);
    expect(without).toBeGreaterThan(320);
    expect(without).toBeLessThan(480);
    fleet.store.away = false;
    run(6_000);
    const asked = fleet.store.asked;
    const again = run(1_000);
    expect(again).toBeGreaterThan(380);
    expect(again).toBeLessThan(420);
    expect(fleet.store.asked).toBeGreaterThan(asked);
  });

  test.each([['open', 'pass'], ['closed', 'limit-store-unavailable'], ['degrade', 'rate-limited']])('onStoreFailure: %s', (onStoreFailure, expected) => {
    const context = new TestFilterContext('rateLimit');
    const body = rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { limits: { whole: { requests: 1, per: '1h', sharedBy: 'fleet', onStoreFailure } } })).body;
    const filter = rateLimitRuntime.edge?.(rateLimitRuntime.decode(body), context);
    const verdicts = Array.from({ length: 2 }, () => filter?.request?.(makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, context)) ?? null);
    const last = verdicts[1] ?? null;
    expect(last === null ? 'pass' : typeof last === 'symbol' ? 'wait' : last.reason.code).toBe(expected);
  });

  test('in shadow nobody waits, and what the store says holds for the next request', () => {
    const clock = new ManualClock();
    const store = new MemoryCounts(clock);
    const context = new TestFilterContext('rateLimit', { clock, shadow: true });
    store.announce(context.factBooks);
    const body = rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { limits: { whole: { requests: 2, per: '1h', algorithm: 'fixedWindow', sharedBy: 'fleet' } } })).body;
    const filter = rateLimitRuntime.edge?.(rateLimitRuntime.decode(body), context);
    const verdicts = Array.from({ length: 4 }, () => {
      const verdict = filter?.request?.(makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, context)) ?? null;
      for (const { body: asked, answered } of context.asked.splice(0)) answered(store.answer(asked));
      return verdict === null ? 'pass' : typeof verdict === 'symbol' ? 'wait' : verdict.reason.code;
    });
    expect(verdicts).toEqual(['pass', 'pass', 'pass', 'rate-limited']);
  });
});
