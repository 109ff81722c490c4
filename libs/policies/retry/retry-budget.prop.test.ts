import { seededRandom } from '@remora/core/random';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, parseRetryAfterMs } from './backoff.ts';
import { RetryBudget } from './retry-budget.ts';

type Event = { readonly kind: 'begin' | 'end' | 'retry' | 'return' } | { readonly kind: 'wait'; readonly ms: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constantFrom('begin' as const, 'end' as const, 'retry' as const, 'return' as const) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 2000 }) }),
);

describe('retry budget', () => {
  test('never grants more than its share of the live requests and its floor', () => {
    fc.assert(fc.property(fc.array(event, { maxLength: 300 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 10 }), (events, ratio, minPerSecond) => {
      const budget = new RetryBudget({ ratio, minPerSecond });
      let live = 0;
      let retrying = 0;
      let nowMs = 1000;
      let floorUsed = 0;
      for (const one of events) {
        if (one.kind === 'wait') nowMs += one.ms;
        else if (one.kind === 'begin') {
          budget.began();
          live += 1;
        } else if (one.kind === 'end' && live > 0) {
          budget.ended();
          live -= 1;
        } else if (one.kind === 'return' && retrying > 0) {
          budget.returned();
          retrying -= 1;
        } else if (one.kind === 'retry' && budget.take(nowMs)) {
          retrying += 1;
          if (retrying > live * ratio) floorUsed += 1;
        }
      }
      expect(budget.live).toBe(live);
      expect(floorUsed).toBeLessThanOrEqual(10 * minPerSecond + (nowMs - 1000) * minPerSecond / 1000 + 1e-6);
    }));
  });

  test('with a floor, a quiet destination gets its retries per second', () => {
    const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 3 });
    budget.began();
    const granted = Array.from({ length: 500 }, (_, i) => budget.take(i * 100)).filter(Boolean).length;
    expect(granted).toBe(30 + 149);
  });

  test('an instance that dies with several calls of a quiet destination costs none of them its retry', () => {
    const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 3 });
    const kill = (nowMs: number): boolean[] => Array.from({ length: 4 }, () => budget.take(nowMs));
    for (let i = 0; i < 4; i += 1) budget.began();
    expect(kill(0)).toEqual([true, true, true, true]);
    for (let i = 0; i < 4; i += 1) budget.returned();
    expect(kill(2000)).toEqual([true, true, true, true]);
  });

  test('keeps no more than ten seconds of its floor', () => {
    const budget = new RetryBudget({ ratio: 0, minPerSecond: 2 });
    const granted = (nowMs: number): number => Array.from({ length: 100 }, () => budget.take(nowMs)).filter(Boolean).length;
    expect([granted(0), granted(5000), granted(3_600_000)]).toEqual([20, 10, 20]);
  });

  test('a step back of the clock grants nothing', () => {
    const budget = new RetryBudget({ ratio: 0, minPerSecond: 1 });
    for (let i = 0; i < 9; i += 1) budget.take(5000);
    expect([budget.take(5000), budget.take(1000), budget.take(1500)]).toEqual([true, false, false]);
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
