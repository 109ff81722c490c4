import { describe, expect, test } from 'vitest';
import { CanaryInvariants } from './canary-invariants.ts';

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of canaries', () => {
  const begun = (): CanaryInvariants => new CanaryInvariants([5, 25], 50);
  const move = (invariants: CanaryInvariants, candidate: number, nowMs: number, by: Partial<{ byCanary: boolean; stable: number }> = {}): void => invariants.wrote({ byCanary: true, candidate, stable: 100 - candidate, ...by }, nowMs);
  const well = (invariants: CanaryInvariants, nowMs: number): void => invariants.reported({ requests: 60, failed: 0 }, nowMs);

  test('steps in order, with figures, to the end or back to the beginning', () => {
    const invariants = begun();
    move(invariants, 5, 0);
    well(invariants, 1_000);
    move(invariants, 25, 5_000);
    move(invariants, 0, 6_000);
    move(invariants, 5, 10_000);
    invariants.promoted();
    move(invariants, 25, 90_000);
    well(invariants, 91_000);
    move(invariants, 100, 92_000);
    move(invariants, 0, 93_000, { byCanary: false });
    expect([invariants.violations, invariants.moves, invariants.ends]).toEqual([[], 6, 2]);
  });

  test.each<[string, (invariants: CanaryInvariants) => void, string]>([
    ['a weight of no step', (one) => move(one, 7, 0), 'a canary wrote 93 and 7 %, which is no step of it'],
    ['weights that are not the whole', (one) => move(one, 5, 0, { stable: 90 }), 'a canary wrote 90 and 5 %, which is no step of it'],
    ['a step left out', (one) => move(one, 25, 0), 'a canary went from 0 to 25 % at once'],
    ['a step back', (one) => { move(one, 5, 0); well(one, 1); move(one, 25, 2); move(one, 5, 3); }, 'a canary went back from 25 to 5 %'],
    ['too few requests', (one) => { move(one, 5, 0); one.reported({ requests: 49, failed: 0 }, 1); move(one, 25, 2); }, 'a canary went on to 25 % after 49 requests'],
    ['figures that are old', (one) => { move(one, 5, 0); well(one, 1); move(one, 25, 40_001); }, 'a canary went on to 25 % although nobody had reported for 40000 ms'],
    ['a candidate that fails', (one) => { move(one, 5, 0); for (let s = 1; s < 10; s++) one.reported({ requests: 40, failed: 20 }, s * 1_000); one.promoted(); move(one, 25, 10_000); }, 'a canary went on to 25 % although the candidate fails'],
    ['somebody else\'s edit', (one) => { move(one, 5, 0); move(one, 0, 1, { byCanary: false }); }, 'somebody else changed the Route of a canary that runs'],
  ])('%s', (_title, happens, violation) => {
    const invariants = begun();
    happens(invariants);
    expect(invariants.violations).toEqual([violation]);
  });

  test('an end that is another', () => {
    expect(begun().ended('failed', { candidate: 25, stable: 75 })).toEqual(['a canary is failed, and 25 % go to its candidate']);
    expect(begun().ended('completed', { candidate: 100, stable: 0 })).toEqual([]);
  });

  /** Symptom: four seeds of 200 failed by an edit of the Route after its canary had completed. The edit is nobody's fault; a canary that left too little to its candidate is its own. */
  test('an edit after the end of a canary is no fault of it, and hides none', () => {
    const endedAt = (candidate: number): CanaryInvariants => {
      const invariants = begun();
      move(invariants, 5, 0);
      well(invariants, 1_000);
      move(invariants, 25, 5_000);
      invariants.promoted();
      if (candidate === 100) move(invariants, 100, 6_000);
      return invariants;
    };
    const edited = endedAt(100);
    move(edited, 0, 7_000, { byCanary: false });
    expect([edited.violations, edited.ended('completed', { candidate: 0, stable: 100 })]).toEqual([[], []]);
    const short = endedAt(25);
    move(short, 0, 7_000, { byCanary: false });
    expect(short.ended('completed', { candidate: 0, stable: 100 })).toEqual(['a canary is completed, and 25 % go to its candidate']);
    expect(endedAt(100).ended('completed', { candidate: 0, stable: 100 })).toEqual(['a canary is completed, and 0 % go to its candidate']);
  });
});
