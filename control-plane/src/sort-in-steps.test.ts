import { runSteps } from '@remora/core/steps';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeInSteps, sortInSteps } from './sort-in-steps.ts';

interface Item {
  readonly key: number;
  readonly place: number;
}

const byKey = (a: Item, b: Item): number => a.key - b.key;

function items(keys: readonly number[]): Item[] {
  return keys.map((key, place) => ({ key, place }));
}

test('sorts as `toSorted` does, equal items in their order', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 6_000, size: 'max' }), (keys) => {
    const list = items(keys);
    expect(runSteps(sortInSteps(list, byKey))).toEqual(list.toSorted(byKey));
    expect(list).toEqual(items(keys));
  }), { numRuns: 30 });
});

test('merges two sorted lists, those of the first first', () => {
  fc.assert(fc.property(fc.array(fc.nat(20)), fc.array(fc.nat(20)), (a, b) => {
    const [first, second] = [items(a).sort(byKey), items(b).sort(byKey)];
    expect(runSteps(mergeInSteps(first, second, byKey))).toEqual([...first, ...second].sort(byKey));
  }));
});

test('can be interrupted often', () => {
  const steps = sortInSteps(items(Array.from({ length: 100_000 }, (_, i) => (i * 7_919) % 100_003)), byKey);
  let yields = 0;
  while (steps.next().done !== true) yields++;
  expect(yields).toBeGreaterThan(200);
});
