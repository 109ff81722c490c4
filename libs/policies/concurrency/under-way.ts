import type { SharedRows } from '@remora/policy-kit/runtime-kind';

/** Requests under way: each thread counts in a row of its own, and looks at the sum. */
export class UnderWay {
  readonly #memory: SharedRows;
  readonly #words: Int32Array;

  /** Of `UnderWay.rowBytes` rows; `commonBytes` before them. */
  constructor(memory: SharedRows, commonBytes: number) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.buffer, commonBytes);
  }

  static readonly rowBytes = 64;

  sum(): number {
    let sum = 0;
    for (let row = 0; row < this.#memory.rows; row += 1) sum += Atomics.load(this.#words, row * rowWords);
    return sum;
  }

  add(by: 1 | -1): void {
    const at = this.#memory.own * rowWords;
    Atomics.store(this.#words, at, (this.#words[at] as number) + by);
  }
}

const rowWords = UnderWay.rowBytes / Int32Array.BYTES_PER_ELEMENT;
