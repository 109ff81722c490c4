import type { AtomicWords } from '@remora/policy-kit/atomic-words';
import { epochOf } from './breaker-word.ts';

/** What a window holds. */
export interface WindowSums {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** How a call ended, as windows count it. */
export interface CallEnd {
  readonly failed: boolean;
  readonly slow: boolean;
}

/**
 * The last `size` calls of all threads: a ring with one word per call. Each word names the epoch it is of, so that a new epoch finds an empty ring and nobody
 * has to clear one.
 */
export class CallWindow {
  readonly #words: AtomicWords;
  readonly #at: number;
  readonly #size: number;

  constructor(words: AtomicWords, at: number, size: number) {
    this.#words = words;
    this.#at = at;
    this.#size = size;
  }

  static words(size: number): number {
    return 1 + size;
  }

  /** Adds a call; answers the sums where they can be worse than before it, else null. */
  add(ticket: number, { failed, slow }: CallEnd): WindowSums | null {
    const place = (this.#words.add(this.#at, 1) >>> 0) % this.#size;
    const mark = markOf(ticket);
    const before = this.#words.exchange(this.#at + 1 + place, mark | (failed ? failedBit : 0) | (slow ? slowBit : 0));
    // A good call makes a rate worse only where it is one more of those that a rate needs.
    return failed || slow || !isOf(before, mark) ? this.sums(ticket) : null;
  }

  sums(ticket: number): WindowSums {
    const mark = markOf(ticket);
    let calls = 0;
    let failures = 0;
    let slow = 0;
    for (let i = 1; i <= this.#size; i += 1) {
      const word = this.#words.load(this.#at + i);
      if (!isOf(word, mark)) continue;
      calls += 1;
      if ((word & failedBit) !== 0) failures += 1;
      if ((word & slowBit) !== 0) slow += 1;
    }
    return { calls, failures, slow };
  }
}

/** Epochs have 26 bits. Never 0, which is an unused word. */
function markOf(ticket: number): number {
  return (epochOf(ticket) << 3) | usedBit;
}

function isOf(word: number, mark: number): boolean {
  return (word & ~(failedBit | slowBit)) === mark;
}

const failedBit = 1;
const slowBit = 2;
const usedBit = 4;
