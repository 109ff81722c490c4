import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { slowStartFactor } from './slow-start.ts';
import { SmoothTurn } from './smooth-turn.ts';
import { emptySplit, splitLoad } from './split-load.ts';

/** `healthy`: percent of each level's hosts. Answers percent, and where panic is. */
function split(healthy: readonly number[], overprovisioning = 1.4, panicThreshold = 0.5): { readonly shares: number[]; readonly panic: number[] } {
  const into = emptySplit(healthy.length);
  splitLoad(healthy.map((usable) => ({ hosts: 100, usable, healthy: usable })), overprovisioning, panicThreshold, into);
  return { shares: [...into.shares].map((share) => share * 100), panic: [...into.panic] };
}

describe('splitLoad is as Envoy documents priority levels and panic', () => {
  test.each([
    [[100, 100], [100, 0], [0, 0]], [[72, 100], [100, 0], [0, 0]], [[71, 100], [99, 1], [0, 0]], [[50, 100], [70, 30], [0, 0]], [[25, 100], [35, 65], [0, 0]], [[0, 100], [0, 100], [0, 0]],
    [[72, 72], [100, 0], [0, 0]], [[71, 71], [99, 1], [0, 0]], [[50, 60], [70, 30], [0, 0]], [[25, 25], [50, 50], [1, 1]], [[5, 65], [7, 93], [1, 0]],
    [[100, 100, 100], [100, 0, 0], [0, 0, 0]], [[71, 71, 100], [99, 1, 0], [0, 0, 0]], [[25, 25, 100], [35, 35, 30], [0, 0, 0]], [[25, 25, 20], [36, 36, 28], [1, 1, 1]],
    [[0, 0], [100, 0], [1, 1]],
  ])('%j percent healthy: %j percent of the requests, panic %j', (healthy, shares, panic) => {
    const found = split(healthy);
    found.shares.forEach((share, i) => expect(Math.abs(share - (shares[i] ?? 0))).toBeLessThan(1));
    expect(found.panic).toEqual(panic);
  });

  test('shares are never negative, and are one together', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 8 }), fc.double({ min: 1, max: 10, noNaN: true }), (healthy, overprovisioning) => {
      const { shares } = split(healthy, overprovisioning);
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
      expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100, 6);
    }), { seed: 6 });
  });

  test('levels without hosts take nothing', () => {
    const into = emptySplit(2);
    splitLoad([{ hosts: 0, usable: 0, healthy: 0 }, { hosts: 3, usable: 0, healthy: 0 }], 1.4, 0.5, into);
    expect([[...into.shares], [...into.panic]]).toEqual([[0, 1], [0, 1]]);
  });
});

describe('SmoothTurn', () => {
  test('is nginx\'s sequence', () => {
    const turns = new SmoothTurn(3);
    const weights = [5, 1, 1];
    expect(Array.from({ length: 14 }, () => 'abc'[turns.next((member) => weights[member] ?? 0)]).join('')).toBe('aabacaaaabacaa');
  });

  test('gives each member its weight in every round, in any round', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 }), (weights) => {
      const turns = new SmoothTurn(weights.length);
      const round = weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < 3; i++) {
        const counts = weights.map(() => 0);
        for (let turn = 0; turn < round; turn++) {
          const member = turns.next((one) => weights[one] ?? 0);
          counts[member] = (counts[member] ?? 0) + 1;
        }
        expect(counts).toEqual(weights);
      }
    }), { seed: 7 });
  });

  test('nobody takes part: nobody', () => {
    expect(new SmoothTurn(2).next(() => 0)).toBe(-1);
  });
});

test('slow start is Envoy\'s curve', () => {
  const slow = { windowMs: 10_000, aggression: 1, minWeight: 0.1 };
  expect([0, 500, 5_000, 10_000, 99_999].map((age) => slowStartFactor(age, slow))).toEqual([0.1, 0.1, 0.5, 1, 1]);
  expect(slowStartFactor(2_500, { ...slow, aggression: 2 })).toBe(0.5);
  expect(slowStartFactor(0, { ...slow, windowMs: 0 })).toBe(1);
});
