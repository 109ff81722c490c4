import type { Algorithm } from './algorithm.ts';

/**
 * The state of one limit: a fixed number of cells, found by a 64-bit key hash. Eight cells are a set with a lock of its
 * own; a new key takes a free cell of its set, else the one that is stalest. The layout works in shared memory: data
 * threads take a set's lock by compare-and-swap for the few operations of one decision.
 */
export class CellTable {
  /** `stride` numbers per cell: three whose meaning is the algorithm's, then what the owner of the table keeps. */
  readonly cells: Float64Array;
  /** Keys that had to be forgotten while they still mattered. */
  overflows = 0;
  /** Locks taken from a thread that died within a decision. */
  stolenLocks = 0;
  /** Words of the seed, of the locks (one per set) and of the hashes (two per cell), in this order. */
  readonly #words: Int32Array;
  readonly #setCount: number;
  readonly #shared: boolean;
  readonly #stride: number;

  constructor(buffer: ArrayBuffer | SharedArrayBuffer, cellCount: number, stride = cellStride) {
    const count = roundUp(cellCount);
    this.#stride = stride;
    this.cells = new Float64Array(buffer, 0, count * stride);
    this.#setCount = count / setSize;
    this.#words = new Int32Array(buffer, count * stride * 8, seedWords + this.#setCount + count * 2);
    this.#shared = buffer instanceof SharedArrayBuffer;
  }

  /** Bytes for so many keys; the number is rounded up to a power of two, at least eight. */
  static bytesFor(cellCount: number, stride = cellStride): number {
    const count = roundUp(cellCount);
    return count * stride * 8 + (seedWords + count / setSize + count * 2) * 4;
  }

  /** The seed of the key hash: whoever comes first decides for all threads. */
  seed(draw: () => number): readonly [number, number] {
    for (let word = 0; word < seedWords; word += 1) Atomics.compareExchange(this.#words, word, 0, (draw() * 0xffff_fffe + 1) | 0);
    return [Atomics.load(this.#words, 0), Atomics.load(this.#words, 1)];
  }

  /** Locks the key's set and answers the index of its cell in `cells`. `release` must follow. */
  acquire(high: number, low: number, algorithm: Pick<Algorithm, 'freeAt'>, nowMs: number): number {
    const set = (high >>> 0) % this.#setCount;
    if (this.#shared) this.#lock(seedWords + set);
    const cell = this.#find(set * setSize, high, low, algorithm, nowMs);
    return cell * this.#stride;
  }

  /** The same for a key that is there; -1: it is not, and nothing is locked. */
  acquireKnown(high: number, low: number): number {
    const set = (high >>> 0) % this.#setCount;
    if (this.#shared) this.#lock(seedWords + set);
    const hashes = seedWords + this.#setCount;
    for (let cell = set * setSize; cell < (set + 1) * setSize; cell += 1) {
      if (low !== 0 && this.#words[hashes + cell * 2 + 1] === low && this.#words[hashes + cell * 2] === high) return cell * this.#stride;
    }
    this.release(high);
    return -1;
  }

  release(high: number): void {
    if (this.#shared) Atomics.store(this.#words, seedWords + ((high >>> 0) % this.#setCount), 0);
  }

  #find(first: number, high: number, low: number, algorithm: Pick<Algorithm, 'freeAt'>, nowMs: number): number {
    const words = this.#words;
    const hashes = seedWords + this.#setCount;
    let victim = first;
    let victimFreeAt = Number.POSITIVE_INFINITY;
    for (let cell = first; cell < first + setSize; cell += 1) {
      const at = hashes + cell * 2;
      const foundLow = words[at + 1] as number;
      if (foundLow === low && words[at] === high) return cell;
      const freeAt = foundLow === 0 ? Number.NEGATIVE_INFINITY : algorithm.freeAt(this.cells, cell * this.#stride);
      if (freeAt < victimFreeAt) {
        victim = cell;
        victimFreeAt = freeAt;
      }
    }
    if (victimFreeAt > nowMs) this.overflows += 1;
    words[hashes + victim * 2] = high;
    words[hashes + victim * 2 + 1] = low;
    this.cells.fill(0, victim * this.#stride, (victim + 1) * this.#stride);
    return victim;
  }

  /**
   * A decision takes some hundred nanoseconds, so spinning is enough, unless the system took the holder's core away: then
   * its core is given to it. Who still holds after that is dead; what it left half written miscounts a key, once.
   */
  #lock(word: number): void {
    for (let spin = 0; spin < spinsMax; spin += 1) {
      if (Atomics.compareExchange(this.#words, word, 0, 1) === 0) return;
    }
    for (let nap = 0; nap < napsMax; nap += 1) {
      Atomics.wait(this.#words, word, 1, napMs);
      if (Atomics.compareExchange(this.#words, word, 0, 1) === 0) return;
    }
    this.stolenLocks += 1;
  }
}

const setSize = 8;
export const cellStride = 3;
const seedWords = 2;
const spinsMax = 500;
const napMs = 1;
const napsMax = 200;

function roundUp(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(setSize, count)));
}
