import { allocateText, type TextBuffer } from '@remora/http/byte-text';

/** Memory that connections gather output in, one region behind the other, so that what a loop of the thread writes is close together. */
export interface OutputSlab {
  readonly bytes: TextBuffer;
  /** Where the next region begins. */
  top: number;
  /** Regions that are not written yet. */
  open: number;
  /** A socket still holds bytes of it: it is not filled again, the garbage collector takes it when they are written. */
  held: boolean;
}

/**
 * Slabs for output. One is filled again only when the kernel has taken everything that was in it, so no queued write is ever
 * overwritten (exchange.md section 2); a slow reader costs a slab, never correctness.
 */
export class OutputSlabs {
  #current: OutputSlab = makeSlab(usualBytes);
  readonly #large: OutputSlab[] = [];
  /** Of the usual size, not used. */
  readonly #spare: OutputSlab[] = [];

  /** A slab with room for `bytes` from its top; the caller opens a region. */
  take(bytes: number): OutputSlab {
    if (bytes > usualBytes / 2) {
      const known = bytes <= largeBytes ? this.#large.pop() : undefined;
      return known ?? makeSlab(Math.max(bytes, largeBytes));
    }
    if (this.#current.bytes.length - this.#current.top < bytes) this.#current = this.#spare.pop() ?? makeSlab(usualBytes);
    return this.#current;
  }

  /** A region was written; `taken`: by the kernel, all of it. */
  written(slab: OutputSlab, taken: boolean): void {
    slab.open--;
    if (!taken) slab.held = true;
    if (slab.open > 0) return;
    if (slab === this.#current) {
      if (slab.held) this.#current = this.#spare.pop() ?? makeSlab(usualBytes);
      else slab.top = 0;
    } else if (!slab.held && slab.bytes.length === usualBytes && this.#spare.length < spareKept) {
      slab.top = 0;
      this.#spare.push(slab);
    } else if (!slab.held && slab.bytes.length === largeBytes && this.#large.length < largeKept) {
      slab.top = 0;
      this.#large.push(slab);
    }
  }
}

function makeSlab(size: number): OutputSlab {
  return { bytes: allocateText(size), top: 0, open: 0, held: false };
}

const usualBytes = 64 * 1024;
/** One read with its chunk framing. */
const largeBytes = 65 * 1024;
const largeKept = 8;
const spareKept = 8;
