import { describe, expect, test } from 'vitest';
import { ConcurrencyInvariants } from './concurrency-invariants.ts';

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of limits that are found', () => {
  const after = (...decisions: readonly Parameters<ConcurrencyInvariants['decided']>[0][]): readonly string[] => {
    const invariants = new ConcurrencyInvariants({ limitMin: 6, limitMax: 100 });
    for (const decision of decisions) invariants.decided(decision);
    return invariants.violations;
  };

  test('shed only what is beyond the limit, and let in nothing beyond it', () => {
    expect(after({ letIn: true, limit: 10, underWay: 9, nowMs: 0 }, { letIn: false, limit: 10, underWay: 10, nowMs: 0 })).toEqual([]);
    expect(after({ letIn: false, limit: 10, underWay: 9, nowMs: 0 })).toEqual(['a request is shed where 9 are under way and the limit is 10']);
    expect(after({ letIn: true, limit: 10, underWay: 10, nowMs: 0 })).toEqual(['a request is let in where 10 are under way and the limit is 10']);
  });

  test('a limit out of its bounds, and one that is in a probe for ever', () => {
    const probing = (limit: number, nowMs: number) => ({ letIn: true, limit, underWay: 0, nowMs });
    expect(after(probing(100, 0), probing(2, 1_000), probing(2, 12_000), probing(6, 12_500), probing(2, 15_000))).toEqual([]);
    expect(after(probing(101, 0))).toEqual(['the limit is 101, and may be from 6 to 100, or 2 in a probe']);
    expect(after(probing(1, 0))).toEqual(['the limit is 1, and may be from 6 to 100, or 2 in a probe']);
    expect(after(probing(3, 0), probing(3, 12_005))).toEqual(['the limit is 3 for 12005 ms, and may not be below 6 for longer than a probe']);
  });

  test('not enough answers when all is well', () => {
    const invariants = new ConcurrencyInvariants({ limitMin: 3, limitMax: 100 });
    invariants.goodput(20, { offered: 50, least: 20 });
    expect(invariants.violations).toEqual([]);
    invariants.goodput(0, { offered: 50, least: 20 });
    expect(invariants.violations).toEqual(['0 of 50 requests were answered when all is well; at least 20 should']);
  });
});
