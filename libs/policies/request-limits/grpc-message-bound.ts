import type { BodyCheck } from '@remora/policy-kit/checked-sink';

/**
 * Reads the lengths of gRPC messages as a body passes (gRPC over HTTP/2: a flag, four bytes of length, the message), and stops before the first
 * one that is longer than allowed. The length is that of the message as it is sent, compressed or not. Holds nothing but the bytes of a prefix.
 */
export class GrpcMessageBound implements BodyCheck {
  readonly #bytesMax: number;
  /** Bytes of the prefix that have come, and the length as far as they say it. */
  #prefix = 0;
  #length = 0;
  /** Bytes of the current message that are still to come. */
  #left = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  passes(bytes: Uint8Array, at: number, to: number): boolean {
    let from = at;
    while (from < to) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, to - from);
        this.#left -= step;
        from += step;
        continue;
      }
      if (this.#prefix > 0) this.#length = this.#length * 256 + (bytes[from] as number);
      from++;
      if (++this.#prefix < prefixBytes) continue;
      if (this.#length > this.#bytesMax) return false;
      this.#left = this.#length;
      this.#prefix = 0;
      this.#length = 0;
    }
    return true;
  }

  endsWell(): boolean {
    return true;
  }
}

const prefixBytes = 5;
