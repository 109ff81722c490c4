/**
 * One turn of a data thread: from a callback of the event loop until everything it caused is done. What was written to a connection
 * during a turn goes out in one write at its end, and what may not happen inside a call (a source producing, an attempt
 * failing) happens then. Every entry point into the engine (reads, timers, messages, promises of filters) ends with `end()`.
 */
export class Turn {
  #later: Deferred[] = [];
  #outputs: Flushable[] = [];
  #ending = false;

  /** Runs `work.runLater()` before this turn ends, once for each call. */
  later(work: Deferred): void {
    this.#later.push(work);
  }

  /** `output` has something to write. */
  dirty(output: Flushable): void {
    this.#outputs.push(output);
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    try {
      while (this.#later.length > 0 || this.#outputs.length > 0) {
        for (let i = 0; i < this.#later.length; i++) (this.#later[i] as Deferred).runLater();
        this.#later.length = 0;
        for (let i = 0; i < this.#outputs.length; i++) (this.#outputs[i] as Flushable).flush();
        this.#outputs.length = 0;
      }
    } finally {
      this.#ending = false;
    }
  }
}

export interface Deferred {
  runLater(): void;
}

export interface Flushable {
  flush(): void;
}
