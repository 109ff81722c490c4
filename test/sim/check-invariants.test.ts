import { hostHealth, type HostHealth } from '@remora/policy-kit/host-states';
import { describe, expect, test } from 'vitest';
import { CheckInvariants, type CheckTerms } from './check-invariants.ts';

const terms: CheckTerms = { mode: 'enforce', intervalMs: 1_000, jitter: 0.1, timeoutMs: 100, unhealthyThreshold: 2, healthyThreshold: 3 };

/** Asked at once, then so many answers, a second apart; after each it is looked at. */
function after(answers: string, healths: readonly HostHealth[], { ejected = false, more = {} }: { readonly ejected?: boolean; readonly more?: Partial<CheckTerms> } = {}): readonly string[] {
  const invariants = new CheckInvariants({ ...terms, ...more });
  invariants.came('a', 0);
  answers.split('').forEach((answer, i) => {
    invariants.answer('a', invariants.question('a', i * 1_000), answer === '+', i * 1_000);
    invariants.look('a', { health: healths[i] ?? hostHealth.unchecked, ejected }, i * 1_000);
  });
  return invariants.violations;
}

const { unchecked, healthy, unhealthy } = hostHealth;

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of active checks', () => {
  test('rows of answers decide', () => {
    expect(after('+--+++', [healthy, healthy, unhealthy, unhealthy, unhealthy, healthy])).toEqual([]);
    expect(after('+-', [healthy, unhealthy])).toEqual(['a is unhealthy after 1 failures; it takes 2']);
    expect(after('+--', [healthy, healthy, healthy])).toEqual(['a failed 2 times in a row and is healthy; 2 are enough']);
    expect(after('--+', [unchecked, unhealthy, healthy])).toEqual(['a is well again after 1 good answers; it takes 3']);
    expect(after('--+++', [unchecked, unhealthy, unhealthy, unhealthy, unhealthy])).toEqual(['a was well 3 times in a row and is unhealthy; 3 are enough']);
    expect(after('++', [healthy, unchecked])).toEqual(['a was healthy and is forgotten, though it is checked']);
  });

  test('who is well again is not ejected; in shadow nothing is held against anybody, and off nothing is known', () => {
    expect(after('--+++', [unchecked, unhealthy, unhealthy, unhealthy, healthy], { ejected: true })).toEqual(['a is well again and still ejected']);
    expect(after('+', [healthy], { more: { mode: 'shadow' } })).toEqual(['a is healthy, and its checks are in shadow']);
    const invariants = new CheckInvariants(terms);
    invariants.came('a', 0);
    invariants.change({ ...terms, mode: 'off' }, 0);
    invariants.look('a', { health: healthy, ejected: false }, 0);
    invariants.question('a', 10);
    expect(invariants.violations).toEqual(['a is healthy, and has answered nothing yet', 'a is healthy, and nobody checks it', 'a is asked, and nobody is to be checked']);
  });

  test('who is asked, and when', () => {
    const invariants = new CheckInvariants(terms);
    invariants.question('b', 0);
    invariants.came('a', 0);
    invariants.look('a', { health: unchecked, ejected: false }, 540);
    invariants.look('a', { health: unchecked, ejected: false }, 560);
    const asked = invariants.question('a', 600);
    invariants.question('a', 610);
    invariants.answer('a', asked, true, 620);
    invariants.question('a', 1_500);
    expect(invariants.violations).toEqual([
      'b is asked, and is not there', 'a was not asked for 560 ms; at the latest it should be after 500', 'a is asked while it is being asked', 'a is asked 880 ms after its answer, and at the soonest it may be after 900',
    ]);
  });

  test('a host that has just come is nothing yet', () => {
    const invariants = new CheckInvariants(terms);
    invariants.came('a', 0);
    invariants.look('a', { health: unhealthy, ejected: false }, 0);
    expect(invariants.violations).toContain('a is unhealthy, and has answered nothing yet');
  });

  test('an answer to a question of before a break counts for nothing', () => {
    const invariants = new CheckInvariants({ ...terms, unhealthyThreshold: 1 });
    invariants.came('a', 0);
    const asked = invariants.question('a', 0);
    invariants.change({ ...terms, mode: 'off' }, 10);
    invariants.change(terms, 20);
    invariants.answer('a', asked, false, 30);
    invariants.look('a', { health: unchecked, ejected: false }, 40);
    expect(invariants.violations).toEqual([]);
  });
});
