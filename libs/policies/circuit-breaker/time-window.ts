import type { AtomicWords } from '@remora/policy-kit/atomic-words';
import type { CallEnd, WindowSums } from './call-window.ts';

/** Where the counts of each thread stand. */
export interface WindowRows {
  /** Words before the first thread's row, and of one row. */
  readonly at: number;
  readonly words: number;
  readonly threads: number;
  /** Row of this thread. */
  readonly own: number;
}

/**
 * The calls of the last `lengthMs`, in ten buckets of each thread: a thread writes its own row only, and sums those of all. A bucket names the time and the
 * ticket that it is of; what is of others is not summed, and overwritten by its thread when it needs the place.
 */
export class TimeWindow {
  readonly #words: AtomicWords;
  readonly #rows: WindowRows;
  readonly #bucketMs: number;

  constructor(words: AtomicWords, rows: WindowRows, lengthMs: number) {
    this.#words = words;
    this.#rows = rows;
    this.#bucketMs = lengthMs / buckets;
  }

  /** Of one thread. */
  static readonly rowWords = 80;

  /** Adds a call; answers the sums. */
  add(ticket: number, { failed, slow }: CallEnd, nowMs: number): WindowSums {
    const tick = this.#tickOf(nowMs);
    const at = this.#bucketAt(this.#rows.own, tick);
    const words = this.#words;
    if (words.load(at + tickAt) !== tick || words.load(at + ticketAt) !== ticket) this.#begin(at, tick, ticket);
    words.store(at + callsAt, words.load(at + callsAt) + 1);
    if (failed) words.store(at + failuresAt, words.load(at + failuresAt) + 1);
    if (slow) words.store(at + slowAt, words.load(at + slowAt) + 1);
    return this.sums(ticket, nowMs);
  }

  sums(ticket: number, nowMs: number): WindowSums {
    const tick = this.#tickOf(nowMs);
    const words = this.#words;
    let calls = 0;
    let failures = 0;
    let slow = 0;
    for (let thread = 0; thread < this.#rows.threads; thread += 1) {
      for (let back = 0; back < buckets; back += 1) {
        const at = this.#bucketAt(thread, tick - back);
        if (words.load(at + tickAt) !== ((tick - back) | 0) || words.load(at + ticketAt) !== ticket) continue;
        calls += words.load(at + callsAt);
        failures += words.load(at + failuresAt);
        slow += words.load(at + slowAt);
      }
    }
    return { calls, failures, slow };
  }

  /** Empty before it is anybody's: who reads it meanwhile counts too little, and never what is of another time. */
  #begin(at: number, tick: number, ticket: number): void {
    for (const word of [tickAt, callsAt, failuresAt, slowAt]) this.#words.store(at + word, 0);
    this.#words.store(at + ticketAt, ticket);
    this.#words.store(at + tickAt, tick);
  }

  #bucketAt(thread: number, tick: number): number {
    return this.#rows.at + thread * this.#rows.words + (((tick % buckets) + buckets) % buckets) * bucketWords;
  }

  /** Never 0, which is an unused bucket. */
  #tickOf(nowMs: number): number {
    return (Math.floor(nowMs / this.#bucketMs) + 1) | 0;
  }
}

const buckets = 10;
const bucketWords = 8;
const tickAt = 0;
const ticketAt = 1;
const callsAt = 2;
const failuresAt = 3;
const slowAt = 4;
