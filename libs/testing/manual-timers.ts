import type { Timer, Timers } from '@remora/core/clock';
import { ManualClock } from './manual-clock.ts';

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  readonly everyMs: number;
}

/** Timers that fire only when a test moves time; between two of them everything that was promised has run. */
export class ManualTimers implements Timers {
  readonly clock: ManualClock;
  #pending: Pending[] = [];
  #order = 0;

  constructor(clock = new ManualClock()) {
    this.clock = clock;
  }

  get size(): number {
    return this.#pending.length;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add({ at: this.clock.monotonicMs() + delayMs, order: this.#order++, run, everyMs: 0 });
  }

  every(intervalMs: number, run: () => void): Timer {
    const state = { current: this.after(intervalMs, () => {}) };
    state.current.cancel();
    let cancelled = false;
    const arm = (): void => {
      state.current = this.after(intervalMs, () => {
        arm();
        run();
      });
    };
    arm();
    return {
      cancel: () => {
        if (!cancelled) state.current.cancel();
        cancelled = true;
      },
    };
  }

  /** Moves time, firing what is due in order. */
  async advance(ms: number): Promise<void> {
    const end = this.clock.monotonicMs() + ms;
    await settle();
    for (;;) {
      const next = this.#pending.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (!next) break;
      this.#pending = this.#pending.filter((each) => each !== next);
      this.clock.advance(Math.max(0, next.at - this.clock.monotonicMs()));
      next.run();
      await settle();
    }
    this.clock.advance(end - this.clock.monotonicMs());
    await settle();
  }

  #add(pending: Pending): Timer {
    this.#pending.push(pending);
    return { cancel: () => { this.#pending = this.#pending.filter((each) => each !== pending); } };
  }
}

/** Lets promises that can settle do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}
