import { systemClock, type Clock } from '@remora/core/clock';

/** Monotonic milliseconds of this machine; every thread reads the same. */
function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Where the monotonic time of all data threads begins; taken once, by the control thread. */
export function monotonicOriginMs(): number {
  return machineMs();
}

/**
 * The system's clock with an origin that threads share. `performance.now()` alone counts from the start of each thread, so that times in
 * shared memory would mean something else in each.
 */
export function threadClock(originMs: number): Clock {
  // The global is a getter, which costs more than the look at the clock.
  const clock = performance;
  const shiftMs = machineMs() - clock.now() - originMs;
  return { wallMs: () => systemClock.wallMs(), monotonicMs: () => clock.now() + shiftMs };
}
