/**
 * Words of memory that several threads change, one atomic operation at a time. Decision cores work on this, so that a test can put other threads' operations
 * between any two of theirs.
 */
export interface AtomicWords {
  load(at: number): number;
  store(at: number, value: number): void;
  /** Answers what was there; equal to `expected`: it is `value` now. */
  compareExchange(at: number, expected: number, value: number): number;
  /** The same of two words as one number without sign: `at` is even; the lower half stands at `lowerWord(at)`, the upper one in the other of the two. */
  loadPair(at: number): bigint;
  compareExchangePair(at: number, expected: bigint, value: bigint): bigint;
  /** Answers what was there. */
  add(at: number, value: number): number;
  exchange(at: number, value: number): number;
}

/** Signed words of 32 bits in memory that is shared, or that one thread has for itself; a whole number of pairs. */
export class SharedWords implements AtomicWords {
  readonly #words: Int32Array;
  readonly #pairs: BigUint64Array;

  constructor(buffer: ArrayBufferLike) {
    this.#words = new Int32Array(buffer);
    this.#pairs = new BigUint64Array(buffer);
  }

  loadPair(at: number): bigint {
    return Atomics.load(this.#pairs, at >> 1);
  }

  compareExchangePair(at: number, expected: bigint, value: bigint): bigint {
    return Atomics.compareExchange(this.#pairs, at >> 1, expected, value);
  }

  load(at: number): number {
    return Atomics.load(this.#words, at);
  }

  store(at: number, value: number): void {
    Atomics.store(this.#words, at, value);
  }

  compareExchange(at: number, expected: number, value: number): number {
    return Atomics.compareExchange(this.#words, at, expected, value);
  }

  add(at: number, value: number): number {
    return Atomics.add(this.#words, at, value);
  }

  exchange(at: number, value: number): number {
    return Atomics.exchange(this.#words, at, value);
  }
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Where the lower half of the pair at `at` stands. */
export function lowerWord(at: number): number {
  return littleEndian ? at : at + 1;
}
