import { describe, expect, it } from 'vitest';
import { KeepAlive } from './keep-alive.ts';
import { defaultPoolLimits } from './pool-limits.ts';

const limits = { ...defaultPoolLimits, keepAliveMs: 30_000 };

/** What a connection does with it; answers when PINGs went out. `frames`: when frames other than answers come. */
function pings(until: number, options: { readonly frames?: readonly number[]; readonly busy?: boolean; readonly idle?: boolean } = {}): number[] {
  const keepAlive = new KeepAlive({ ...limits, keepAliveIdle: options.idle ?? false }, 0);
  const sent: number[] = [];
  let framesIn = 0;
  for (let now = 0; now <= until; now += 1000) {
    if (options.frames?.includes(now)) keepAlive.read(now, ++framesIn);
    if (now < keepAlive.dueAt(options.busy ?? true)) continue;
    sent.push(now / 1000);
    keepAlive.pinged(now, framesIn);
    keepAlive.read(now, ++framesIn);
  }
  return sent;
}

describe('a peer', () => {
  it('that is silent is asked after 30 s, then less than every five minutes', () => {
    expect(pings(1_000_000)).toEqual([30, 360, 690]);
  });

  it('that says something is not asked', () => {
    expect(pings(200_000, { frames: Array.from({ length: 10 }, (_, i) => i * 20_000) })).toEqual([]);
  });

  it('that falls silent again is asked after 30 s again', () => {
    expect(pings(200_000, { frames: [100_000] })).toEqual([30, 130]);
  });

  it('without calls is asked only where that is wanted, then always', () => {
    expect(pings(100_000, { busy: false })).toEqual([]);
    expect(pings(100_000, { busy: false, idle: true })).toEqual([30, 60, 90]);
  });

  it('is never asked with an interval of 0', () => {
    expect(new KeepAlive({ ...limits, keepAliveMs: 0 }, 0).dueAt(true)).toBe(Infinity);
  });
});
