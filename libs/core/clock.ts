/** Time as a parameter: the simulator and tests replace it. */
export interface Clock {
  /** Unix time in whole milliseconds; may step. For timestamps shown to people and for expiry of credentials. */
  wallMs(): number;
  /** Milliseconds from an arbitrary start; never steps. For windows, deadlines and durations. */
  monotonicMs(): number;
}

export interface Timer {
  cancel(): void;
}

/** Timers of the control threads. The data path uses timer wheels instead. */
export interface Timers {
  after(delayMs: number, run: () => void): Timer;
  every(intervalMs: number, run: () => void): Timer;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

export const systemTimers: Timers = {
  after(delayMs, run) {
    const handle = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  every(intervalMs, run) {
    const handle = setInterval(run, intervalMs);
    return { cancel: () => clearInterval(handle) };
  },
};
