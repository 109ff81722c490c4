import { describe, expect, test } from 'vitest';
import { Invariants } from './invariants.ts';

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of the simulator', () => {
  const at = (index: number) => ({ epoch: 1, index });
  const enforced = (hash: string, index: number, incarnation = 1) => ({ node: 'a', hash, version: at(index), incarnation });

  test('content that was never committed', () => {
    const invariants = new Invariants();
    invariants.enforced('service/a', enforced('aaaaaaaa', 1));
    expect(invariants.violations).toEqual(['a enforces aaaaaaaa, which was never committed']);
  });

  test('content of another subject', () => {
    const invariants = new Invariants();
    invariants.committed('service/b', 'aaaaaaaa', at(1));
    invariants.enforced('service/a', enforced('aaaaaaaa', 1));
    expect(invariants.violations).toHaveLength(1);
  });

  test('content under a version older than itself', () => {
    const invariants = new Invariants();
    invariants.committed('service/a', 'aaaaaaaa', at(5));
    invariants.enforced('service/a', enforced('aaaaaaaa', 4));
    expect(invariants.violations).toEqual(['a enforces aaaaaaaa as 1.4, before it was committed']);
  });

  test('a version that goes back within one run, and not over a restart from disk', () => {
    const invariants = new Invariants();
    for (const index of [1, 2]) invariants.committed('service/a', 'aaaaaaaa', at(index));
    invariants.enforced('service/a', enforced('aaaaaaaa', 2));
    invariants.enforced('service/a', enforced('aaaaaaaa', 1, 2));
    expect(invariants.violations).toEqual([]);
    invariants.enforced('service/a', enforced('aaaaaaaa', 3, 2));
    invariants.enforced('service/a', enforced('aaaaaaaa', 2, 2));
    expect(invariants.violations).toEqual(['a went back from 1.3 to 1.2']);
  });
});
