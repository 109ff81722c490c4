import { describe, expect, test } from 'vitest';
import { LimitInvariants, type LimitTerms } from './limit-invariants.ts';

const terms: LimitTerms = { counting: 'window', requests: 3, perMs: 1_000, burst: 2, leased: 0, lateMs: 0 };

function after(instants: readonly (readonly [number, number])[], changed: Partial<LimitTerms> = {}): LimitInvariants {
  const invariants = new LimitInvariants({ ...terms, ...changed });
  for (const [askedMs, passedMs] of instants) invariants.passed(askedMs, passedMs);
  invariants.noneBeyond();
  return invariants;
}

const at = (...instants: readonly number[]): [number, number][] => instants.map((ms) => [ms, ms]);

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of limits', () => {
  test('more than the limit in a window; who came in the one before may be of that one', () => {
    expect(after([...at(100, 500, 999), [990, 1_010], ...at(1_000, 1_001, 1_999)]).violations).toEqual([]);
    expect(after(at(100, 500, 600, 999)).violations).toEqual(['4 passed in a window, and 3 may']);
    expect(after(at(100, 500, 600, 999), { leased: 1 }).violations).toEqual([]);
  });

  test('more out of a bucket than it holds and flows in, over any span', () => {
    expect(after(at(0, 0, 0, 334, 668, 1_002, 9_000, 9_000, 9_000), { counting: 'bucket' }).violations).toEqual([]);
    expect(after(at(0, 3_000, 3_000, 3_000, 3_000, 3_100), { counting: 'bucket' }).violations).toEqual(['5 passed beyond what flows in, and 4 may']);
  });

  test('more than a total, and a total of which more is gone than was lost', () => {
    const invariants = after(at(1, 2), { counting: 'total' });
    invariants.noneLost(1);
    expect(invariants.violations).toEqual([]);
    invariants.noneLost(0);
    expect(invariants.violations).toEqual(['1 are missing, and 0 may be']);
    expect(after(at(1, 2, 3, 4), { counting: 'total' }).violations).toEqual(['4 passed in all, and 3 may']);
  });

  test('a limit that lets in too little when all is well', () => {
    const invariants = after(at(1_000, 1_500, 2_000, 2_100));
    invariants.allAgain(1_000, 0.34);
    invariants.allAgain(2_000, 0.34);
    expect(invariants.violations).toEqual([]);
    invariants.allAgain(1_000, 0);
    expect(invariants.violations).toEqual(['2 of 3 pass when all is well again']);
  });
});
