import { describe, expect, it } from 'vitest';
import { BodyPace } from './body-pace.ts';
import { defaultConnectionLimits, type ConnectionLimits } from './connection-limits.ts';

const limits = (bodyTimeoutMs: number, bodyRateMin: number): ConnectionLimits => ({ ...defaultConnectionLimits, bodyTimeoutMs, bodyRateMin });

/** `[ms, bytes]`: so much came; `[ms, 'awaited']`: more is wanted from then on. */
type Step = readonly [atMs: number, what: number | 'awaited'];

function paceAfter(steps: readonly Step[]): BodyPace {
  const pace = new BodyPace(0);
  for (const [atMs, what] of steps) {
    if (what === 'awaited') pace.awaited(atMs);
    else pace.came(what, atMs);
  }
  return pace;
}

describe('the pace of a request body', () => {
  it.each<[string, ConnectionLimits, Step[], number, string]>([
    ['silence below the limit passes', limits(1000, 0), [[0, 10]], 999, ''],
    ['silence as long as the limit does not', limits(1000, 0), [[0, 10]], 1000, '/bodyTimeout'],
    ['each byte starts the silence anew', limits(1000, 0), [[0, 10], [900, 1]], 1800, ''],
    ['what we held back is no silence', limits(1000, 0), [[0, 10], [60_000, 'awaited']], 60_900, ''],
    ['a slow body passes while it is young', limits(0, 100), [[4000, 1]], 5000, ''],
    ['and is too slow then', limits(0, 100), [[5001, 1]], 5001, '/minBodyRate'],
    ['at the rate it may go on for ever', limits(0, 100), [[60_000, 6000]], 60_000, ''],
    ['time in which we hold the client back does not count', limits(0, 100), [[1000, 600], [61_000, 'awaited'], [66_000, 100]], 66_000, ''],
    ['time before and behind it does', limits(0, 100), [[3000, 300], [60_000, 'awaited'], [64_000, 100]], 64_000, '/minBodyRate'],
    ['no limits', limits(0, 0), [], 1e9, ''],
  ])('%s', (_what, bounds, steps, now, exceeded) => {
    expect(paceAfter(steps).exceeded(bounds, now)).toBe(exceeded);
  });

  it.each<[string, ConnectionLimits, Step[], number, number]>([
    ['when the silence would be too long', limits(1000, 0), [[500, 1]], 700, 800],
    ['at the latest when a rate can be judged', limits(60_000, 100), [], 0, 5000],
    ['also where only a rate is limited', limits(0, 100), [], 0, 5000],
    ['never without limits', limits(0, 0), [], 0, Infinity],
  ])('is looked at again %s', (_what, bounds, steps, now, inMs) => {
    expect(paceAfter(steps).checkInMs(bounds, now)).toBe(inMs);
  });
});
