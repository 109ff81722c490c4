import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Timers } from '@remora/core/clock';
import { ManualTimers } from '@remora/testing/manual-timers';
import { firesPerRun, TimerWheels, WheelNode } from './timer-wheel.ts';

class Probe extends WheelNode {
  firedAt: number[] = [];
  readonly #timers: ManualTimers;
  readonly #onFire: () => void;

  constructor(timers: ManualTimers, onFire: () => void = () => {}) {
    super();
    this.#timers = timers;
    this.#onFire = onFire;
  }

  fire(): void {
    this.firedAt.push(this.#timers.clock.monotonicMs());
    this.#onFire();
  }
}

function setUp(): { timers: ManualTimers; wheels: TimerWheels; now: () => number } {
  const timers = new ManualTimers();
  return { timers, wheels: new TimerWheels(timers.clock, timers, () => {}), now: () => timers.clock.monotonicMs() };
}

describe('TimerWheels', () => {
  // Symptom: a response was cut by its idle timeout although its next bytes had come, on a machine so busy that a thread stood for longer than the
  // timeout. Cause: the loop runs timers before it reads sockets. Timers that come late now let the sockets be read first.
  it('lets the loop read its sockets first where it stood still for long', async () => {
    const { timers, wheels } = setUp();
    const [overdue, saved] = [new Probe(timers), new Probe(timers)];
    wheels.arm(overdue, 100);
    wheels.arm(saved, 100);
    timers.clock.advance(500);
    await timers.advance(0);
    expect(overdue.firedAt).toEqual([]);
    // What a read would do.
    wheels.cancel(saved);
    await new Promise((resolve) => { setImmediate(resolve); });
    expect(overdue.firedAt).toHaveLength(1);
    expect(saved.firedAt).toEqual([]);
    expect(wheels.size).toBe(0);
  });

  it('fires never before the time, and at most one slot after it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(300), fc.oneof(fc.nat(50), fc.nat(2000), fc.nat(200_000))), { minLength: 1, maxLength: 12 }), async (plan) => {
        const { timers, wheels, now } = setUp();
        const armed: { probe: Probe; due: number; slot: number }[] = [];
        for (const [wait, delay] of plan) {
          await timers.advance(wait);
          const probe = new Probe(timers);
          wheels.arm(probe, delay);
          armed.push({ probe, due: now() + delay, slot: delay < 1000 ? 4 : 128 });
        }
        await timers.advance(201_000);
        for (const { probe, due, slot } of armed) {
          expect(probe.firedAt).toHaveLength(1);
          const late = (probe.firedAt[0] ?? 0) - due;
          expect(late).toBeGreaterThanOrEqual(0);
          // One slot, and the millisecond that system timers are rounded up by.
          expect(late).toBeLessThanOrEqual(slot + 1);
        }
        expect(wheels.size).toBe(0);
        expect(timers.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('wakes nobody while nothing is armed', async () => {
    const { timers, wheels } = setUp();
    const probe = new Probe(timers);
    wheels.arm(probe, 20);
    expect(timers.size).toBe(1);
    wheels.cancel(probe);
    await timers.advance(30);
    expect(timers.size).toBe(0);
    expect(probe.firedAt).toEqual([]);
  });

  // Symptom: one idle connection cost eight wakeups a second, each of which looked at 512 slots.
  it('wakes the loop once for each slot in use, and earlier for what is due earlier', async () => {
    const wakes: number[] = [];
    const timers = new ManualTimers();
    const counted: Timers = {
      after: (delayMs, run) => timers.after(delayMs, () => {
        wakes.push(timers.clock.monotonicMs());
        run();
      }),
      every: (periodMs, run) => timers.every(periodMs, run),
    };
    const wheels = new TimerWheels(timers.clock, counted, () => {});
    const idle = new Probe(timers);
    const near = new Probe(timers);
    wheels.arm(idle, 60_000);
    await timers.advance(1_000);
    wheels.arm(near, 5_000);
    await timers.advance(100_000);
    expect(near.firedAt).toHaveLength(1);
    expect(idle.firedAt).toHaveLength(1);
    expect(wakes).toEqual([...near.firedAt, ...idle.firedAt]);
    expect(timers.size).toBe(0);
  });

  it('lets a firing timer cancel, arm and re-arm others of its slot', async () => {
    const { timers, wheels } = setUp();
    const cancelled = new Probe(timers);
    const later = new Probe(timers);
    const again: Probe = new Probe(timers, () => {
      wheels.cancel(cancelled);
      wheels.arm(later, 8);
      if (again.firedAt.length < 3) wheels.arm(again, 8);
    });
    wheels.arm(again, 8);
    wheels.arm(cancelled, 8);
    await timers.advance(100);
    expect(again.firedAt).toHaveLength(3);
    expect(cancelled.firedAt).toEqual([]);
    expect(later.firedAt).toHaveLength(3);
  });

  it('arming again moves a timer', async () => {
    const { timers, wheels } = setUp();
    const probe = new Probe(timers);
    wheels.arm(probe, 10);
    wheels.arm(probe, 5000);
    await timers.advance(4900);
    expect(probe.firedAt).toEqual([]);
    await timers.advance(400);
    expect(probe.firedAt).toHaveLength(1);
  });

  it('fires once after the thread stood still for many turns of the wheel', async () => {
    const { timers, wheels } = setUp();
    const probes = [5, 900, 3000, 64_000].map((delay) => {
      const probe = new Probe(timers);
      wheels.arm(probe, delay);
      return probe;
    });
    timers.clock.advance(1_000_000);
    await timers.advance(300);
    await new Promise((resolve) => { setImmediate(resolve); });
    expect(probes.map(({ firedAt }) => firedAt.length)).toEqual([1, 1, 1, 1]);
  });

  // Symptom: clients waited while hundreds of others, too slow and connected in the same moment, were refused in one go.
  it('fires a few of many that are due together, and lets the loop look at its sockets between', async () => {
    const { timers, wheels } = setUp();
    const count = firesPerRun * 3 - 1;
    const probes = Array.from({ length: count }, () => {
      const probe = new Probe(timers);
      wheels.arm(probe, 10);
      return probe;
    });
    const fired = (): number => probes.filter(({ firedAt }) => firedAt.length > 0).length;
    await timers.advance(12);
    expect(fired()).toBe(firesPerRun);
    expect(wheels.size).toBe(count - firesPerRun);
    const moved = probes.at(-1) as Probe;
    wheels.cancel(probes.at(-2) as Probe);
    wheels.arm(moved, 500);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => { setImmediate(resolve); });
    expect([fired(), wheels.size]).toEqual([count - 2, 1]);
    await timers.advance(600);
    expect(moved.firedAt).toHaveLength(1);
  });
});
