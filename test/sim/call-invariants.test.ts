import { describe, expect, test } from 'vitest';
import { CallInvariants } from './call-invariants.ts';

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of calls', () => {
  const begun = (): CallInvariants => {
    const invariants = new CallInvariants();
    invariants.started('web-1');
    return invariants;
  };
  const admit = (invariants: CallInvariants, ticket: number | null, nowMs: number): void => invariants.admitted('web-1', { ticket, halfOpen: true, probesMax: 2, nowMs });

  test('more hosts ejected than the cap; one always may be, and a set that shrinks ejects nobody', () => {
    const invariants = begun();
    invariants.ejected('web-1', { hosts: 6, before: 2, after: 3 });
    invariants.ejected('web-1', { hosts: 1, before: 0, after: 1 });
    invariants.ejected('web-1', { hosts: 3, before: 3, after: 3 });
    expect(invariants.violations).toEqual([]);
    invariants.ejected('web-1', { hosts: 6, before: 2, after: 4 });
    expect(invariants.violations).toEqual(['web-1 has 4 of 6 hosts ejected, and may have 3']);
  });

  test('a host that is ejected for longer than anybody may be', () => {
    const invariants = begun();
    invariants.ejectedFor('web-1', 'a', 8_000, 8_500);
    invariants.ejectedFor('web-1', 'a', 3_600_000, 8_500);
    expect(invariants.violations).toEqual(['web-1 has a ejected for 3600000 ms more, and may for 8500']);
  });

  test('a breaker that nobody gets through any more, and one with too many probes', () => {
    const invariants = begun();
    for (let nowMs = 0; nowMs <= 15_000; nowMs += 1_000) admit(invariants, null, nowMs);
    expect(invariants.violations).toEqual([]);
    admit(invariants, null, 16_000);
    expect(invariants.violations).toEqual(['the breaker of web-1 lets nobody try for 16000 ms']);
    const other = begun();
    admit(other, 7, 0);
    admit(other, 7, 0);
    other.ended('web-1', 7);
    admit(other, 7, 0);
    expect(other.violations).toEqual([]);
    admit(other, 7, 0);
    expect(other.violations).toEqual(['the breaker of web-1 has 3 probes under way, and may have 2']);
  });

  test('a host that is asked though it is gone, out, or was asked just before', () => {
    const chosen = { host: 'a', known: true, usable: true, usableHosts: 3, hosts: 4, others: true, again: false, doubted: false };
    const out = { ...chosen, usable: false };
    const fine = begun();
    for (const choice of [chosen, { ...out, usableHosts: 1 }, { ...out, doubted: true }, { ...chosen, again: true, others: false }]) fine.chosen('web-1', choice);
    expect(fine.violations).toEqual([]);
    const ill = begun();
    for (const choice of [{ ...chosen, host: null }, { ...chosen, known: false }, out, { ...chosen, again: true }]) ill.chosen('web-1', choice);
    expect(ill.violations).toEqual([
      'web-1 asks nobody of 4 hosts', 'web-1 asks a, which is not there any more', 'web-1 asks a, which is out, with 3 of 4 usable', 'web-1 asks a again, though there are others',
    ]);
  });

  test('more retries than the budget', () => {
    const invariants = begun();
    for (let n = 0; n < 100; n++) invariants.sent('web-1', n);
    for (let n = 0; n < 15; n++) invariants.retried('web-1', 100);
    expect(invariants.violations).toEqual([]);
    invariants.retried('web-1', 100);
    expect(invariants.violations).toEqual(['web-1 retried 16 of 100 calls in 10 s, and may 15']);
  });
});
