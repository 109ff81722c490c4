/** Bytes that are gathered up to a bound; the memory doubles, so that each byte is copied a bounded number of times. */
export class GrowingBytes {
  readonly #bytesMax: number;
  bytes: Buffer = empty;
  length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** False where it does not fit: then nothing was added. */
  add(from: Uint8Array, at: number, to: number): boolean {
    if (this.length + to - at > this.#bytesMax) return false;
    this.#append(from, at, to);
    return true;
  }

  /** Without the bound. */
  addBeyond(from: Uint8Array, at: number, to: number): void {
    this.#append(from, at, to);
  }

  #append(from: Uint8Array, at: number, to: number): void {
    const length = this.length + to - at;
    if (length > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 512, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(from.subarray(at, to), this.length);
    this.length = length;
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

const empty = Buffer.alloc(0);
