import fc from 'fast-check';
import { seededRandom } from '@remora/core/random';
import { buildRequestHead } from '@remora/http/head-builder';
import { internHeaderName } from '@remora/http/header-ids';
import { expect, it } from 'vitest';
import type { WeightedTarget } from '../generation/places.ts';
import { chooseTarget } from './weighted-choice.ts';

const id = internHeaderName('x-user-id');
const sticky = { id, seed: 7 };

function split(...weights: readonly number[]): readonly WeightedTarget[] {
  return weights.map((weight, nth) => ({ target: { empty: false, subset: String(nth) } as WeightedTarget['target'], weight }));
}

function emptied(targets: readonly WeightedTarget[], nth: number): readonly WeightedTarget[] {
  return targets.map((one, i) => (i === nth ? { weight: one.weight, target: { empty: true, subset: String(nth) } as WeightedTarget['target'] } : one));
}

function headOf(user: string | null): ReturnType<typeof buildRequestHead> {
  return buildRequestHead({ method: 'GET', authority: 'orders', target: '/', headers: user === null ? [] : [['x-user-id', user]] });
}

function sideOf(targets: readonly WeightedTarget[], user: string): string {
  return chooseTarget(targets, sticky, headOf(user), seededRandom(1))?.target.subset ?? 'none';
}

it('the same value goes to the same target, and moves only to the one whose weight grows', () => {
  fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 40 }).filter((text) => /^[\x21-\x7e]+$/.test(text)), fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 6 }), fc.boolean(), (user, steps, first) => {
    let before = '';
    for (const weight of steps.sort((a, b) => a - b)) {
      const targets = first ? split(weight, 100 - weight) : split(100 - weight, weight);
      const side = sideOf(targets, user);
      expect(sideOf(targets, user)).toBe(side);
      if (before === (first ? '0' : '1')) expect(side).toBe(before);
      before = side;
    }
  }));
});

it('values are shared out by weight, and by chance where the header is missing or empty', () => {
  const random = seededRandom(3);
  const count = (choose: (nth: number) => WeightedTarget | null): number => Array.from({ length: 20_000 }, (_, nth) => choose(nth)).filter((chosen) => chosen?.target.subset === '1').length;
  const targets = split(75, 25);
  for (const found of [count((nth) => chooseTarget(targets, sticky, headOf(`user-${nth}`), random)), count(() => chooseTarget(targets, sticky, headOf(null), random)), count(() => chooseTarget(targets, sticky, headOf(''), random))]) {
    expect(found).toBeGreaterThan(4_700);
    expect(found).toBeLessThan(5_300);
  }
});

it('another seed orders the same values otherwise', () => {
  const targets = split(50, 50);
  const users = Array.from({ length: 200 }, (_, nth) => `user-${nth}`);
  const sides = (seed: number): string => users.map((user) => chooseTarget(targets, { id, seed }, headOf(user), seededRandom(1))?.target.subset).join('');
  expect(sides(1)).not.toBe(sides(2));
});

it('a target without endpoints moves none but its own, and gives them out by weight', () => {
  const targets = split(40, 20, 40);
  const lacking = emptied(targets, 1);
  const moved = { 0: 0, 2: 0 };
  for (let nth = 0; nth < 5_000; nth++) {
    const [usual, now] = [sideOf(targets, `user-${nth}`), sideOf(lacking, `user-${nth}`)];
    if (usual !== '1') expect(now).toBe(usual);
    else moved[now as '0' | '2']++;
  }
  expect(moved[0]).toBeGreaterThan(350);
  expect(moved[2]).toBeGreaterThan(350);
  expect(sideOf(emptied(emptied(targets, 0), 2), 'user-1')).toBe('1');
  expect(sideOf(emptied(split(100, 0), 0), 'user-1')).toBe('none');
});
