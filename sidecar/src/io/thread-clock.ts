import { systemClock, type Clock } from '@remora/core/clock';

/** Monotonic milliseconds of this machine; every thread reads the same. */
function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Where the monotonic time of all data threads begins; taken once, by the control thread: where its own `systemClock` begins, so that it can compare what data
 * threads tell it, or what it puts into shared memory, with its own time.
 */
export function monotonicOriginMs(): number {
  return behindMachineMs();
}

/** How far this thread's `performance.now()` is behind the machine's time. A thread that has to wait between two readings reads again. */
function behindMachineMs(): number {
  let behind = 0;
  let least = Infinity;
  for (let i = 0; i < readings; i++) {
    const before = performance.now();
    const machine = machineMs();
    const took = performance.now() - before;
    if (took >= least) continue;
    least = took;
    behind = machine - before;
  }
  return behind;
}

const readings = 5;

/**
 * The system's clock with an origin that threads share. `performance.now()` alone counts from the start of each thread, so that times in
 * shared memory would mean something else in each.
 */
export function threadClock(originMs: number): Clock {
  // The global is a getter, which costs more than the look at the clock.
  const clock = performance;
  const shiftMs = behindMachineMs() - originMs;
  return { wallMs: () => systemClock.wallMs(), monotonicMs: () => clock.now() + shiftMs };
}
