import { ManualClock } from '@remora/testing/manual-clock';
import { expect, test } from 'vitest';
import { Turn } from './turn.ts';

/** One look at the clock costs as much as a look-up of a route; eight of them were 2 % of a request with policies. */
test('within a turn that has looked at the clock it is looked at no more; outside of turns it always is', () => {
  const clock = new ManualClock();
  const turn = new Turn(clock);
  const began = { mono: turn.now(), wall: turn.wallNow() };
  clock.advance(7);
  expect([turn.now(), turn.time.monotonicMs()]).toEqual([began.mono, began.mono]);
  expect([turn.wallNow(), turn.time.wallMs()]).toEqual([began.wall, began.wall]);
  turn.end();
  expect(turn.time.monotonicMs()).toBe(began.mono + 7);
  expect(turn.time.wallMs()).toBe(began.wall + 7);
  // Nobody is there to say that time goes on: what has only been read is not kept.
  clock.advance(5);
  expect(turn.time.monotonicMs()).toBe(began.mono + 12);
  expect(turn.now()).toBe(began.mono + 12);
});
