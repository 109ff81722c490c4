import type { Clock, Timer, Timers } from '@remora/core/clock';

interface Due {
  atMs: number;
  order: number;
  readonly run: () => void;
  readonly everyMs: number | null;
  cancelled: boolean;
}

/** Clock, timers and turns of the event loop that stand still until a test moves them. */
export class ManualTime implements Clock, Timers {
  #nowMs = 1_000_000;
  #wallOffsetMs = Date.UTC(2026, 0, 1) - 1_000_000;
  #order = 0;
  #due: Due[] = [];
  #turns: (() => void)[] = [];

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  readonly soon = (run: () => void): void => {
    this.#turns.push(run);
  };

  after(delayMs: number, run: () => void): Timer {
    return this.#schedule(delayMs, run, null);
  }

  every(intervalMs: number, run: () => void): Timer {
    return this.#schedule(intervalMs, run, intervalMs);
  }

  /** Runs turns until nothing is left to do now. */
  settle(): void {
    for (let i = 0; i < 1_000_000; i++) {
      const turn = this.#turns.shift();
      if (!turn) return;
      turn();
    }
    throw new Error('the turns never end');
  }

  /** Moves time, running everything that becomes due, in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    this.settle();
    for (let next = this.#next(endMs); next; next = this.#next(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#fire(next);
      this.settle();
    }
    this.#nowMs = endMs;
    this.settle();
  }

  /** The process stands still: time passes, nothing runs; then everything due runs at once. */
  stall(ms: number): void {
    this.#nowMs += ms;
    this.advance(0);
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#due.length;
  }

  #next(endMs: number): Due | undefined {
    this.#due = this.#due.filter((due) => !due.cancelled);
    return this.#due.filter((due) => due.atMs <= endMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
  }

  #fire(due: Due): void {
    this.#due = this.#due.filter((other) => other !== due);
    // The same object comes back, so that the handle that was given out cancels the repetitions too.
    if (due.everyMs !== null) this.#due.push(Object.assign(due, { atMs: due.atMs + due.everyMs, order: this.#order++ }));
    due.run();
  }

  #schedule(delayMs: number, run: () => void, everyMs: number | null): Timer {
    const due: Due = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run, everyMs, cancelled: false };
    this.#due.push(due);
    return { cancel: () => void (due.cancelled = true) };
  }
}
