import { seededRandom } from '@remora/core/random';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, parseRetryAfterMs } from './backoff.ts';
import { RetryBudget } from './retry-budget.ts';

type Event = { readonly kind: 'send' | 'retry' } | { readonly kind: 'wait'; readonly ms: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constantFrom('send' as const, 'retry' as const) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 2000 }) }),
);

function budget(memory = new ArrayBuffer(RetryBudget.bytes)): RetryBudget {
  return new RetryBudget({ buffer: memory });
}

/** The same with lists of instants. */
class Model {
  readonly #sent: number[] = [];
  readonly #retried: number[] = [];
  #reserveUsedTo = 0;

  send(nowMs: number): void {
    this.#sent.push(tick(nowMs));
  }

  take(nowMs: number, { ratio, minPerSecond }: { ratio: number; minPerSecond: number }): boolean {
    const lately = (all: readonly number[]): number => all.filter((one) => tick(nowMs) - one < 8).length;
    if (lately(this.#retried) + 1 <= lately(this.#sent) * ratio) {
      this.#retried.push(tick(nowMs));
      return true;
    }
    const step = Math.round(1_000_000 / minPerSecond);
    const from = Math.max(this.#reserveUsedTo, nowMs * 1000 - 10_000_000);
    if (minPerSecond === 0 || from + step > nowMs * 1000) return false;
    this.#reserveUsedTo = from + step;
    return true;
  }
}

function tick(nowMs: number): number {
  return Math.floor(nowMs / 125);
}

describe('retry budget', () => {
  test('grants what a model with lists of instants grants, whichever thread asks', () => {
    const terms = fc.record({ ratio: fc.constantFrom(0, 0.1, 0.2, 0.5, 1), minPerSecond: fc.constantFrom(0, 1, 3, 10) });
    fc.assert(fc.property(fc.array(event, { maxLength: 300 }), terms, fc.nat({ max: 1_000_000 }), (events, its, startMs) => {
      const memory = new SharedArrayBuffer(RetryBudget.bytes);
      const threads = [new RetryBudget({ buffer: memory }), new RetryBudget({ buffer: memory })] as const;
      const model = new Model();
      let nowMs = 20_000 + startMs;
      for (const [i, one] of events.entries()) {
        const thread = threads[i % 2 === 0 ? 0 : 1];
        if (one.kind === 'wait') nowMs += one.ms;
        else if (one.kind === 'send') {
          thread.sent(nowMs);
          model.send(nowMs);
        } else expect(thread.take(nowMs, its)).toBe(model.take(nowMs, its));
      }
    }));
  });

  test('in any second grants its share of that second\'s requests and its floor', () => {
    const one = budget();
    const granted: number[] = [];
    for (let nowMs = 60_000; nowMs < 120_000; nowMs += 2) {
      one.sent(nowMs);
      if (one.take(nowMs, { ratio: 0.2, minPerSecond: 0 })) granted.push(nowMs);
    }
    const most = Math.max(...granted.map((from) => granted.filter((at) => at >= from && at < from + 1000).length));
    expect(most).toBeLessThanOrEqual(100 + 13);
    expect(granted.length).toBeGreaterThan(0.19 * 30_000);
    expect(granted.length).toBeLessThanOrEqual(0.2 * 30_000);
  });

  test('what was counted is forgotten after a second, as what a thread counted that died', () => {
    const memory = new SharedArrayBuffer(RetryBudget.bytes);
    const dead = budget(memory as never);
    for (let i = 0; i < 100; i += 1) dead.sent(50_000);
    expect(budget(memory as never).lately(50_900)).toEqual({ sent: 100, retried: 0 });
    expect(budget(memory as never).lately(51_001)).toEqual({ sent: 0, retried: 0 });
  });

  test('with a floor, a quiet destination gets its retries per second', () => {
    const one = budget();
    const granted = Array.from({ length: 500 }, (_, i) => one.take(20_000 + i * 100, { ratio: 0.2, minPerSecond: 3 })).filter(Boolean).length;
    expect(granted).toBe(30 + 149);
  });

  test('an instance that dies with several calls of a quiet destination costs none of them its retry', () => {
    const one = budget();
    const kill = (nowMs: number): boolean[] => Array.from({ length: 4 }, () => one.take(nowMs, { ratio: 0.2, minPerSecond: 3 }));
    expect(kill(20_000)).toEqual([true, true, true, true]);
    expect(kill(22_000)).toEqual([true, true, true, true]);
  });

  test('keeps no more than ten seconds of its floor', () => {
    const one = budget();
    const granted = (nowMs: number): number => Array.from({ length: 100 }, () => one.take(nowMs, { ratio: 0, minPerSecond: 2 })).filter(Boolean).length;
    expect([granted(20_000), granted(25_000), granted(3_600_000)]).toEqual([20, 10, 20]);
  });

  test('a step back of the clock grants nothing', () => {
    const one = budget();
    const take = (nowMs: number): boolean => one.take(nowMs, { ratio: 0, minPerSecond: 1 });
    for (let i = 0; i < 9; i += 1) take(25_000);
    expect([take(25_000), take(21_000), take(21_500)]).toEqual([true, false, false]);
  });

  test('while it goes on denying its end is told again every twenty seconds', () => {
    const one = budget();
    const told: number[] = [];
    for (let nowMs = 1_000; nowMs < 62_000; nowMs += 1_000) if (one.exhausted(nowMs)) told.push(nowMs);
    expect(told).toEqual([1_000, 21_000, 41_000, 61_000]);
    expect([one.denying, one.replenished(72_000), one.denying]).toEqual([true, true, false]);
  });

  test('its end is told once, and again after ten quiet seconds; its recovery once', () => {
    const one = budget();
    expect([one.replenished(5000), one.exhausted(5000), one.exhausted(9000), one.exhausted(14_000)]).toEqual([false, true, false, false]);
    expect([one.replenished(15_000), one.replenished(24_002), one.replenished(24_003), one.exhausted(24_004)]).toEqual([false, true, false, true]);
  });
});

describe('backoff', () => {
  test('is uniform up to an exponential step with a bound', () => {
    const random = seededRandom(5);
    const limits = { backoffBaseMs: 25, backoffMaxMs: 250 };
    for (const [retry, step] of [[1, 25], [2, 50], [3, 100], [4, 200], [5, 250], [10, 250]] as const) {
      const drawn = Array.from({ length: 2000 }, () => backoffMs(retry, limits, random));
      expect(Math.max(...drawn)).toBeLessThan(step);
      expect(Math.max(...drawn)).toBeGreaterThan(step * 0.97);
      expect(drawn.reduce((sum, ms) => sum + ms, 0) / drawn.length).toBeCloseTo(step / 2, -1);
    }
  });

  const wallMs = Date.UTC(2026, 0, 1);
  test.each([
    ['0', 0], ['3', 3000], ['Thu, 01 Jan 2026 00:00:05 GMT', 5000], ['Wed, 31 Dec 2025 00:00:00 GMT', 0], ['-1', null], ['1.5', null], ['soon', null], ['', null], ['12345678901', null],
  ])('Retry-After %j is %j ms', (text, ms) => {
    expect(parseRetryAfterMs(text, wallMs)).toBe(ms);
  });
});
