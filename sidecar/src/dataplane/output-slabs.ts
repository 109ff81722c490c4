import { allocateText, type TextBuffer } from '@remora/http/byte-text';

/**
 * Buffers for what is about to be written. A slab comes back only when the kernel has taken its bytes; otherwise the socket keeps it
 * and the garbage collector takes it later, so no queued write is ever overwritten.
 */
export class OutputSlabs {
  readonly #small: TextBuffer[] = [];
  readonly #large: TextBuffer[] = [];

  /** At least `bytes` long. */
  take(bytes: number): TextBuffer {
    if (bytes <= smallBytes) return this.#small.pop() ?? allocateText(smallBytes);
    if (bytes <= largeBytes) return this.#large.pop() ?? allocateText(largeBytes);
    return allocateText(bytes);
  }

  give(slab: TextBuffer): void {
    if (slab.length === smallBytes) {
      if (this.#small.length < keptMax) this.#small.push(slab);
    } else if (slab.length === largeBytes && this.#large.length < keptMax) {
      this.#large.push(slab);
    }
  }
}

/** A head with a small body. */
const smallBytes = 16 * 1024;
/** One read with its chunk framing. */
const largeBytes = 65 * 1024;
const keptMax = 16;
