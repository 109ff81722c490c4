import { describe, expect, test } from 'vitest';
import { HedgeInvariants, type EndedCall, type EndedTry } from './hedge-invariants.ts';

const first = (end: string, endMs = 200): EndedTry => ({ atMs: 0, end, endMs });
const second = (end: string, atMs = 50): EndedTry => ({ atMs, end, endMs: 100 });

function after(call: Partial<EndedCall>): readonly string[] {
  const invariants = new HedgeInvariants({ delayMs: 50, ratio: 0.1, minPerSecond: 0 }, 0);
  invariants.ended({ name: 'a', idempotent: true, retried: false, leftAtMs: null, heard: 'head 200', tries: [first('200')], ...call });
  return invariants.violations;
}

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of second tries', () => {
  test.each<[string, Partial<EndedCall>, readonly string[]]>([
    ['one that wins', { tries: [first('stopped'), second('200')] }, []],
    ['one that loses', { tries: [first('200'), second('stopped')] }, []],
    ['both fail', { heard: 'head 503', tries: [first('reset'), second('503')] }, []],
    ['a client that leaves', { heard: '', leftAtMs: 60, tries: [first('stopped'), second('stopped')] }, []],
    ['a third', { tries: [first('stopped'), second('200'), second('stopped')] }, ['a is tried 3 times']],
    ['one that goes on', { tries: [first(''), second('200')] }, ['a is over, and 1 of its tries go on']],
    ['too early', { tries: [first('stopped'), second('200', 49)] }, ['a is tried a second time after 49 ms, and at the soonest it may be after 50']],
    ['too late', { tries: [first('200', 40), second('stopped')] }, ['a is tried a second time after the first had ended with 200']],
    ['not to be done twice', { idempotent: false, tries: [first('stopped'), second('200')] }, ['a is tried a second time, and cannot be done twice']],
    ['of a retry', { retried: true, tries: [first('stopped'), second('200')] }, ['a is tried a second time, and is a retry itself']],
    ['for nobody', { heard: '', leftAtMs: 40, tries: [first('stopped'), second('stopped')] }, ['a is tried a second time after its client had left']],
    ['a good answer that is lost', { heard: 'head 503', tries: [first('503'), second('200')] }, ['a heard head 503, and one of its tries was answered well']],
    ['a failure that wins', { heard: 'head 503', tries: [first('stopped'), second('503')] }, ['a heard head 503, and its other try was given up']],
    ['silence', { heard: '', tries: [first('reset')] }, ['a heard nothing, and its tries ended with reset']],
  ])('%s', (_name, call, violations) => {
    expect(after(call)).toEqual(violations);
  });

  test('a budget', () => {
    const invariants = new HedgeInvariants({ delayMs: 50, ratio: 0.1, minPerSecond: 0 }, 0);
    for (let i = 0; i < 3; i++) invariants.ended({ name: 'a', idempotent: true, retried: false, leftAtMs: null, heard: 'head 200', tries: [first('stopped'), second('200')] });
    invariants.budget(20, 1_000);
    expect(invariants.violations).toEqual([]);
    invariants.budget(19, 1_000);
    expect(invariants.violations).toEqual(['3 calls of 19 are tried again, at most 2 may be']);
  });
});
