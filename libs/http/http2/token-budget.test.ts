import { expect, test } from 'vitest';
import { TokenBudget } from './token-budget.ts';

/** How many of `tries` are granted at this time. */
function granted(budget: TokenBudget, nowMs: number, tries: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (budget.spend(nowMs)) count++;
  return count;
}

test('a burst at once, then what time brings, never more than a burst', () => {
  const budget = new TokenBudget({ burst: 10, perSecond: 5 }, 1000);
  expect(granted(budget, 1000, 50)).toBe(10);
  expect(granted(budget, 1100, 50)).toBe(0);
  expect(granted(budget, 1200, 50)).toBe(1);
  expect(granted(budget, 2200, 50)).toBe(5);
  expect(granted(budget, 1_000_000, 50)).toBe(10);
});

test('time that passed while the budget was full brings nothing', () => {
  const budget = new TokenBudget({ burst: 10, perSecond: 5 }, 0);
  expect(granted(budget, 100_000, 50)).toBe(10);
  expect(granted(budget, 100_000, 50)).toBe(0);
});

test('what is earned is added, up to a burst', () => {
  const budget = new TokenBudget({ burst: 10, perSecond: 0 }, 0);
  expect(granted(budget, 0, 8)).toBe(8);
  budget.earn(100);
  expect(granted(budget, 0, 50)).toBe(10);
  expect(granted(budget, 1_000_000, 50)).toBe(0);
});
