import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emptyDecision, type Algorithm } from './algorithm.ts';
import { createGcra } from './gcra.ts';
import { createFixedWindow, createSlidingWindow } from './windows.ts';

const settings = fc.record({ requests: fc.integer({ min: 1, max: 50 }), perMs: fc.integer({ min: 1, max: 10_000 }), burst: fc.integer({ min: 1, max: 40 }), cost: fc.integer({ min: 1, max: 3 }) });
const gaps = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 20_000 })), { minLength: 1, maxLength: 200 });

/** Verdicts for requests that come with these gaps, from a time that is far from 0. */
function run(algorithm: Algorithm, waits: readonly number[], startMs = 5_000_000): { allowed: boolean; atMs: number; waitMs: number; retryAfterMs: number; remaining: number }[] {
  const cells = new Float64Array(3);
  const out = emptyDecision();
  let atMs = startMs;
  return waits.map((gap) => {
    atMs += gap;
    algorithm.decide(cells, 0, atMs, true, out);
    return { allowed: out.allowed, atMs, waitMs: out.waitMs, retryAfterMs: out.retryAfterMs, remaining: out.remaining };
  });
}

describe('token bucket', () => {
  test('is exactly a bucket of `burst` tokens that fills by `requests` per period', () => {
    fc.assert(fc.property(settings, gaps, ({ requests, perMs, burst, cost }, waits) => {
      // Exact: tokens counted in units of 1/perMs, so that a millisecond brings `requests` units.
      let units = BigInt(burst * perMs);
      let lastMs = 5_000_000;
      for (const { allowed, atMs } of run(createGcra({ requests, perMs, burst, cost, queue: false }), waits)) {
        units += BigInt((atMs - lastMs) * requests);
        if (units > BigInt(burst * perMs)) units = BigInt(burst * perMs);
        lastMs = atMs;
        const enough = units >= BigInt(cost * perMs);
        if (enough) units -= BigInt(cost * perMs);
        expect(allowed).toBe(enough);
      }
    }));
  });

  test('a refused request is allowed after the time it was told, and not earlier', () => {
    fc.assert(fc.property(settings, gaps, ({ requests, perMs, burst, cost }, waits) => {
      fc.pre(cost <= burst);
      const algorithm = createGcra({ requests, perMs, burst, cost, queue: false });
      expect(misledAt(algorithm, waits)).toBeNull();
    }));
  });
});

describe('leaky bucket', () => {
  test('starts requests at least one interval apart, in their order, and holds at most `burst`', () => {
    fc.assert(fc.property(settings, gaps, ({ requests, perMs, burst }, waits) => {
      const intervalMs = perMs / requests;
      let lastStart = Number.NEGATIVE_INFINITY;
      const starts: number[] = [];
      for (const { allowed, atMs, waitMs } of run(createGcra({ requests, perMs, burst, cost: 1, queue: true }), waits)) {
        const waiting = starts.filter((start) => start > atMs + 1e-3).length;
        if (!allowed) {
          expect(waiting).toBeGreaterThanOrEqual(burst);
          continue;
        }
        expect(waiting).toBeLessThanOrEqual(burst);
        expect(atMs + waitMs).toBeGreaterThanOrEqual(lastStart + intervalMs - 1e-3);
        lastStart = atMs + waitMs;
        starts.push(lastStart);
      }
    }));
  });
});

describe('fixed window', () => {
  test('is exactly a count per window of the grid', () => {
    fc.assert(fc.property(settings, gaps, ({ requests, perMs, cost }, waits) => {
      const counts = new Map<number, number>();
      for (const { allowed, atMs, remaining } of run(createFixedWindow({ requests, perMs, cost }), waits)) {
        const window = Math.floor(atMs / perMs);
        const used = counts.get(window) ?? 0;
        expect(allowed).toBe(used + cost <= requests);
        counts.set(window, allowed ? used + cost : used);
        expect(remaining).toBe(requests - (counts.get(window) ?? 0));
      }
    }));
  });

  test('a refused request is allowed after the time it was told', () => {
    fc.assert(fc.property(settings, gaps, ({ requests, perMs, cost }, waits) => {
      fc.pre(cost <= requests);
      expect(misledAt(createFixedWindow({ requests, perMs, cost }), waits)).toBeNull();
    }));
  });
});

describe('sliding window', () => {
  test('is exactly the weighted count of two windows', () => {
    fc.assert(fc.property(settings, gaps, ({ requests, perMs, cost }, waits) => {
      const counts = new Map<number, number>();
      for (const { allowed, atMs } of run(createSlidingWindow({ requests, perMs, cost }), waits)) {
        const window = Math.floor(atMs / perMs);
        const current = counts.get(window) ?? 0;
        // Exact, times perMs: the previous window counts for what of it is still within one period.
        const weighted = (current + cost) * perMs + (counts.get(window - 1) ?? 0) * ((window + 1) * perMs - atMs);
        expect(allowed).toBe(weighted <= requests * perMs);
        if (allowed) counts.set(window, current + cost);
      }
    }));
  });

  test('a refused request is allowed after the time it was told', () => {
    fc.assert(fc.property(settings, gaps, ({ requests, perMs, cost }, waits) => {
      fc.pre(cost <= requests);
      expect(misledAt(createSlidingWindow({ requests, perMs, cost }), waits)).toBeNull();
    }));
  });
});

/** Asks at the time that a refusal named, and a little before: it must be allowed, and still refused. null: always so. */
function misledAt(algorithm: Algorithm, waits: readonly number[]): string | null {
  const cells = new Float64Array(3);
  const out = emptyDecision();
  let atMs = 5_000_000;
  for (const gap of waits) {
    atMs += gap;
    algorithm.decide(cells, 0, atMs, true, out);
    if (out.allowed) continue;
    const { retryAfterMs } = out;
    algorithm.decide(cells, 0, atMs + retryAfterMs + 1e-3, false, out);
    if (!out.allowed) return `at ${atMs}: refused again after the ${retryAfterMs} ms that it was told`;
    if (retryAfterMs <= 0.01) continue;
    algorithm.decide(cells, 0, atMs + retryAfterMs - 0.01, false, out);
    if (out.allowed) return `at ${atMs}: allowed before the ${retryAfterMs} ms that it was told`;
  }
  return null;
}
