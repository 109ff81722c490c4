import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ThreadShare } from './thread-share.ts';

/** Pieces of work: how long after the one before each comes, and how long it takes. */
const pieces = fc.array(fc.record({ afterMs: fc.double({ min: 0, max: 20, noNaN: true }), tookMs: fc.double({ min: 0, max: 2, noNaN: true }) }), { maxLength: 200 });

test('within any time no more is spent than the share of it and the burst, but for the last piece', () => {
  fc.assert(fc.property(pieces, fc.double({ min: 0.01, max: 1, noNaN: true }), fc.double({ min: 0.1, max: 5, noNaN: true }), (work, share, burstMs) => {
    let now = 0;
    const one = new ThreadShare({ share, burstMs, now: () => now });
    const spent: { readonly at: number; readonly tookMs: number }[] = [];
    for (const { afterMs, tookMs } of work) {
      now += afterMs;
      const at = now;
      if (one.spend(() => { now += tookMs; return true; }) === true) spent.push({ at, tookMs });
    }
    for (const [i, { at }] of spent.entries()) {
      let before = 0;
      for (const later of spent.slice(i)) {
        expect(before).toBeLessThanOrEqual(share * (later.at - at) + burstMs + 1e-6);
        before += later.tookMs;
      }
    }
  }));
});

test('what was never spent is no credit beyond the burst, and time pays for what was', () => {
  let now = 0;
  const one = new ThreadShare({ share: 0.1, burstMs: 0.5, now: () => now });
  const take = (): boolean => one.spend(() => { now += 0.25; return true; }) === true;
  now = 1e6;
  expect([take(), take(), take(), take()]).toEqual([true, true, true, false]);
  now += 2;
  expect([take(), take()]).toEqual([true, false]);
});

test('work that throws is paid for too', () => {
  let now = 0;
  const one = new ThreadShare({ share: 0.1, burstMs: 0.5, now: () => now });
  expect(() => one.spend(() => { now += 5; throw new Error('no'); })).toThrow('no');
  expect(one.spend(() => true)).toBeNull();
});
