import { hostSlotsMax } from '@remora/policy-kit/host-states';

/** What was counted for one host since it was looked at last. */
export interface Volume {
  readonly requests: number;
  readonly successes: number;
}

/**
 * What outlier detection counts per host, in memory that all data threads share: whole numbers, changed by atomic operations only. A row belongs to the
 * host whose `since` it was marked with; another host in the same slot begins anew.
 */
export class HostRows {
  static readonly bytes = hostSlotsMax * 32;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer | ArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Makes the row the host's: `mark` tells hosts of one slot apart, and is never 0. */
  claim(slot: number, mark: number): void {
    const at = slot * rowWords;
    const held = this.#words[at] as number;
    if (held === mark || Atomics.compareExchange(this.#words, at, held, mark) !== held) return;
    for (let i = 1; i < rowWords; i++) Atomics.store(this.#words, at + i, 0);
  }

  /** One more failure in a row; answers how many there are now. */
  failedAgain(slot: number, row: ConsecutiveRow): number {
    return Atomics.add(this.#words, slot * rowWords + row, 1) + 1;
  }

  /** One more failure in a row, where that is at most `most`. */
  failedBelow(slot: number, row: ConsecutiveRow, most: number): void {
    const at = slot * rowWords + row;
    for (;;) {
      const count = Atomics.load(this.#words, at);
      if (count >= most || Atomics.compareExchange(this.#words, at, count, count + 1) === count) return;
    }
  }

  restart(slot: number, row: ConsecutiveRow): void {
    const at = slot * rowWords + row;
    // Mostly it is 0 already, and a line that nobody writes stays in everybody's cache.
    if (this.#words[at] !== 0) Atomics.store(this.#words, at, 0);
  }

  count(slot: number, success: boolean): void {
    const at = slot * rowWords;
    Atomics.add(this.#words, at + requestsAt, 1);
    if (success) Atomics.add(this.#words, at + successesAt, 1);
  }

  /** Answers what was counted, and begins at 0. */
  takeVolume(slot: number): Volume {
    const at = slot * rowWords;
    const successes = Atomics.exchange(this.#words, at + successesAt, 0);
    return { requests: Atomics.exchange(this.#words, at + requestsAt, 0), successes };
  }

  /** Whether the interval is another one than when this was asked last, by any thread: exactly one of them hears that it is. */
  beginsInterval(slot: number, interval: number): boolean {
    const at = slot * rowWords + intervalAt;
    const last = this.#words[at] as number;
    return last !== interval && Atomics.compareExchange(this.#words, at, last, interval) === last;
  }

  /** Shadow: whether the host would be out until `nowMs` and beyond. Whole milliseconds of the thread's origin, good for 24 days. */
  wouldBeOutUntil(slot: number): number {
    return this.#words[slot * rowWords + shadowAt] as number;
  }

  setWouldBeOutUntil(slot: number, untilMs: number): void {
    Atomics.store(this.#words, slot * rowWords + shadowAt, Math.min(untilMs, 0x7fff_ffff));
  }
}

/** Which failures in a row. */
export const consecutiveRows = { serverErrors: 1, gatewayErrors: 2, localFailures: 3 } as const;
export type ConsecutiveRow = (typeof consecutiveRows)[keyof typeof consecutiveRows];

const rowWords = 8;
const requestsAt = 4;
const successesAt = 5;
const shadowAt = 6;
const intervalAt = 7;
