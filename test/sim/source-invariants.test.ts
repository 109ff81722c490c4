import { describe, expect, test } from 'vitest';
import { SourceInvariants, type SeenSet } from './source-invariants.ts';

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of found endpoints', () => {
  const sets = (text: string): SeenSet => new Map(text.split(' ').filter((id) => id !== '').map((id) => [id.replace('?', ''), id.endsWith('?') ? 'suspect' : 'sure']));
  const told = (...all: readonly (readonly [number, string])[]): SourceInvariants => {
    const invariants = new SourceInvariants();
    for (const [nowMs, text] of all) invariants.told('ledger', sets(text), nowMs);
    return invariants;
  };
  const web = (index: number, incarnation = 1) => ({ node: 'web-1', incarnation, version: { epoch: 1, index } });

  test('most instances lost within the window, at once or one after the other', () => {
    expect(told([0, 'a b c d'], [1, 'c']).violations).toEqual(['callers lost 3 of 4 instances of ledger within 30 s: a b d']);
    expect(told([0, 'a b c d'], [1, 'b c d'], [2, 'c d'], [3, 'd']).violations).toEqual(['callers lost 3 of 4 instances of ledger within 30 s: a b c']);
    expect(told([0, 'a b c d'], [1, 'c d'], [40_000, 'd']).violations).toEqual([]);
    expect(told([0, 'a b c d'], [1, 'a? b? c? d'], [40_000, 'd']).violations).toEqual([]);
  });

  test('… also where the control plane died meanwhile, but for what it had no time to write down', () => {
    const invariants = told([0, 'a b c d'], [1_000, 'a b c d e f']);
    invariants.crashed(1_100);
    invariants.told('ledger', sets('a b c d'), 1_200);
    invariants.told('ledger', sets('a b'), 2_000);
    expect(invariants.violations).toEqual([]);
    invariants.crashed(9_000);
    invariants.told('ledger', sets('a'), 9_100);
    expect(invariants.violations).toEqual(['callers lost 3 of 4 instances of ledger within 30 s: c d b']);
  });

  test('the last instance lost', () => {
    expect(told([0, 'a'], [1, '']).violations).toContain('callers lost all instances of ledger');
  });

  test('an endpoint that nobody told of, and a set older than the one before', () => {
    const invariants = told([0, 'a b'], [1, 'a b c'], [2, 'b c']);
    invariants.has(web(1), 'ledger', sets('a b c'));
    invariants.has(web(2), 'ledger', sets('b c'));
    expect(invariants.violations).toEqual([]);
    invariants.has(web(3), 'ledger', sets('a b'));
    invariants.has(web(4), 'ledger', sets('z'));
    expect(invariants.violations).toEqual(['web-1 has ledger as a b, which nobody told it since what it had before', 'web-1 has ledger as z, which nobody told it']);
  });

  test('a version of the state lane that goes back, and not over a restart from disk', () => {
    const invariants = told([0, 'a']);
    invariants.has(web(5), 'ledger', sets('a'));
    invariants.has(web(3, 2), 'ledger', sets('a'));
    expect(invariants.violations).toEqual([]);
    invariants.has(web(2, 2), 'ledger', sets('a'));
    expect(invariants.violations).toEqual(['the state of web-1 went back from 1.3 to 1.2']);
  });

  test('an end that is another', () => {
    const invariants = new SourceInvariants();
    expect(invariants.converged('web-1', 'ledger', new Set(['a', 'b', 'c']), sets('a? b d e?'))).toEqual(['web-1 doubts a', 'web-1 does not know c', 'web-1 is sure of d, which is gone']);
    expect(invariants.converged('web-1', 'ledger', new Set(['a']), null)).toEqual(['web-1 knows nothing of ledger']);
  });
});
