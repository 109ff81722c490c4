import type { Clock } from '@remora/core/clock';

/**
 * One turn of a data thread: from a callback of the event loop until everything it caused is done. What may not happen inside a call
 * (a source producing, an attempt failing) happens at its end. Every entry point into the engine (reads, timers, messages, promises of
 * filters) ends with `end()`.
 *
 * What was written during turns goes out in `setImmediate`, the one hook behind all sockets that are ready in this round of the loop: writes that
 * follow each other closely find their reader awake. Writing at the end of each turn instead, with JavaScript between the writes,
 * cost 4 to 6 µs of system time more per request, nearly all of it for waking up the peer again and again.
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
  #wallNow = -1;
  #flushing = false;
  /**
   * The same instants, for filters and layers: within a turn that has looked at the clock they look at no other. Outside of turns, where nothing
   * would tell that time goes on, it is the clock itself.
   */
  readonly time: Clock = {
    monotonicMs: () => (this.#now < 0 ? this.#clock.monotonicMs() : this.#now),
    wallMs: () => (this.#wallNow < 0 ? this.#clock.wallMs() : this.#wallNow),
  };
  readonly #flush = (): void => {
    this.#flushing = false;
    for (let i = 0; i < this.#outputCount; i++) {
      const output = this.#outputs[i] as Flushable;
      this.#outputs[i] = null;
      output.flush();
    }
    this.#outputCount = 0;
    this.#timeGoesOn();
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Monotonic milliseconds, read once a turn; for the turns behind one that wrote, once a round of the loop. */
  now(): number {
    if (this.#now < 0) this.#now = this.#clock.monotonicMs();
    return this.#now;
  }

  /** Unix milliseconds, read as often. */
  wallNow(): number {
    if (this.#wallNow < 0) this.#wallNow = this.#clock.wallMs();
    return this.#wallNow;
  }

  #timeGoesOn(): void {
    this.#now = -1;
    this.#wallNow = -1;
  }

  /** Runs `work.runLater()` before this turn ends, once for each call. */
  later(work: Deferred): void {
    this.#later[this.#laterCount++] = work;
  }

  /** `output` has something to write. */
  dirty(output: Flushable): void {
    this.#outputs[this.#outputCount++] = output;
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(this.#flush);
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
      } while (this.#laterCount > 0);
    } finally {
      this.#ending = false;
      if (!this.#flushing) this.#timeGoesOn();
    }
  }
}

export interface Deferred {
  runLater(): void;
}

export interface Flushable {
  flush(): void;
}
