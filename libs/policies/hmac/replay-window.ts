import { createHash } from 'node:crypto';

/** Nonces remembered at once: eight in each of so many sets. */
const sets = 8_192;
const setSize = 8;
/** Two words of hash, and the second until which it is remembered. */
const words = 3;

export const replayBytes = sets * setSize * words * 4;

/**
 * Nonces that were used, for as long as their signatures would be good, in memory that all data threads share. Where a set is full of nonces that still
 * matter a new one is refused: forgetting one would let it be used again.
 */
export class ReplayWindow {
  readonly #cells: Int32Array;

  constructor(buffer: ArrayBuffer | SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer, 0, sets * setSize * words);
  }

  /** True: it was not used before, and is now. */
  use(keyId: string, nonce: string, untilSeconds: number, nowSeconds: number): boolean {
    const hash = createHash('sha256').update(keyId).update('\0').update(nonce).digest();
    const [set, high, low] = [hash.readUInt32LE(0) % sets, hash.readInt32LE(4) | 1, hash.readInt32LE(8)];
    const first = set * setSize * words;
    let free = -1;
    for (let cell = 0; cell < setSize; cell++) {
      const at = first + cell * words;
      const ended = Atomics.load(this.#cells, at + 2) < nowSeconds;
      if (!ended && Atomics.load(this.#cells, at) === high && Atomics.load(this.#cells, at + 1) === low) return false;
      if (ended && free < 0) free = at;
    }
    if (free < 0) return false;
    const before = Atomics.load(this.#cells, free + 2);
    // Another thread that takes the same cell at this moment may be asked about the same nonce: one of them is refused.
    if (Atomics.compareExchange(this.#cells, free + 2, before, untilSeconds) !== before) return false;
    Atomics.store(this.#cells, free, high);
    Atomics.store(this.#cells, free + 1, low);
    return true;
  }
}
