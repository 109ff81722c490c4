import { ManualTimers } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import { StallMeter, type LoopDelay } from './stall-meter.ts';

/** A loop whose delays and work a test chooses. */
function rig(): { meter: StallMeter; timers: ManualTimers; delay: LoopDelay & { max: number; on: boolean }; work: (ms: number) => void; take: () => number } {
  const timers = new ManualTimers();
  const memory = new Float64Array(1);
  let activeMs = 0;
  const delay = {
    max: 0, on: false,
    enable(): void { this.on = true; },
    disable(): void { this.on = false; },
    reset(): void { this.max = 0; },
  };
  const meter = new StallMeter({
    memory, delay, resolutionMs: 20, activeMs: () => activeMs, monotonicMs: () => timers.clock.monotonicMs(), after: (ms, run) => void timers.after(ms, run),
  });
  const take = (): number => {
    const stall = memory[0] ?? 0;
    memory[0] = 0;
    return stall;
  };
  return { meter, timers, delay, work: (ms) => { activeMs += ms; }, take };
}

describe('a stall meter', () => {
  test('looks closely from the moment that work is announced until the thread is idle again', async () => {
    const { meter, timers, delay, work, take } = rig();
    await timers.advance(3_000);
    expect(delay.on).toBe(false);
    meter.watch();
    expect(delay.on).toBe(true);
    delay.max = 63e6;
    work(400);
    await timers.advance(1_000);
    expect(take()).toBe(43);
    expect(delay).toMatchObject({ on: true, max: 0 });
    await timers.advance(1_000);
    expect(delay.on).toBe(false);
    expect(take()).toBe(0);
  });

  test('looks closely by itself while the thread works', async () => {
    const { timers, delay, work } = rig();
    work(50);
    await timers.advance(1_000);
    expect(delay.on).toBe(true);
  });

  test('of an idle thread sees a stall that reaches its own look', async () => {
    const { timers, take } = rig();
    await timers.advance(999);
    timers.clock.advance(301);
    await timers.advance(0);
    expect(take()).toBe(295);
  });
});
