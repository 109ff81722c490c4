/**
 * The part of a data thread's time that may go into one kind of work. Work that is done at once costs less than its way to another thread and back, as long as it is
 * rare; beyond its share it has to go elsewhere, so that a flood of it never takes the thread from everybody else.
 *
 * Within any `t` milliseconds at most `share × t + burstMs` are spent, and what the last piece took beyond.
 */
export class ThreadShare {
  readonly #price: number;
  readonly #latitudeMs: number;
  readonly #now: () => number;
  /** When all that was spent is paid for. */
  #paidAt = Number.NEGATIVE_INFINITY;

  /** `share` of 1; without a burst nothing is spent; `now` in milliseconds, and going on while the work is done: the clock of a turn stands still. */
  constructor({ share, burstMs, now }: ThreadShareOptions) {
    this.#price = 1 / share;
    this.#latitudeMs = burstMs / share;
    this.#now = now;
  }

  /** The outcome, or null: not now. */
  spend<T>(work: () => T): T | null {
    const from = this.#now();
    if (Math.max(0, this.#paidAt - from) >= this.#latitudeMs) return null;
    try {
      return work();
    } finally {
      this.#paidAt = Math.max(this.#paidAt, from) + (this.#now() - from) * this.#price;
    }
  }
}

export interface ThreadShareOptions {
  readonly share: number;
  readonly burstMs: number;
  readonly now: () => number;
}
