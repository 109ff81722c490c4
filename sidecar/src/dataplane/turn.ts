import type { Clock } from '@remora/core/clock';

/**
 * One turn of a data thread: from a callback of the event loop until everything it caused is done. What was written to a connection
 * during a turn goes out in one write at its end, and what may not happen inside a call (a source producing, an attempt
 * failing) happens then. Every entry point into the engine (reads, timers, messages, promises of filters) ends with `end()`.
 */
export class Turn {
  readonly #clock: Clock;
  // Arrays that only grow and counts beside them: truncating an array costs more than everything else here.
  readonly #later: (Deferred | null)[] = [];
  #laterCount = 0;
  readonly #outputs: (Flushable | null)[] = [];
  #outputCount = 0;
  #ending = false;
  #now = -1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Monotonic milliseconds, read once a turn. */
  now(): number {
    if (this.#now < 0) this.#now = this.#clock.monotonicMs();
    return this.#now;
  }

  /** Runs `work.runLater()` before this turn ends, once for each call. */
  later(work: Deferred): void {
    this.#later[this.#laterCount++] = work;
  }

  /** `output` has something to write. */
  dirty(output: Flushable): void {
    this.#outputs[this.#outputCount++] = output;
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    try {
      do {
        for (let i = 0; i < this.#laterCount; i++) {
          const work = this.#later[i] as Deferred;
          this.#later[i] = null;
          work.runLater();
        }
        this.#laterCount = 0;
        for (let i = 0; i < this.#outputCount; i++) {
          const output = this.#outputs[i] as Flushable;
          this.#outputs[i] = null;
          output.flush();
        }
        this.#outputCount = 0;
      } while (this.#laterCount > 0);
    } finally {
      this.#ending = false;
      this.#now = -1;
    }
  }
}

export interface Deferred {
  runLater(): void;
}

export interface Flushable {
  flush(): void;
}
