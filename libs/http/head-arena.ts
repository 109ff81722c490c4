import { allocateText, type TextBuffer } from './byte-text.ts';

/**
 * Where received heads are copied to: slabs that are filled once, front to back, and never reused. A head keeps its slab
 * alive; when the last exchange of a slab is gone, the garbage collector takes it. So a head stays valid for as long as
 * anybody can see it, and nobody has to give anything back. One per thread; a long exchange pins at most one slab of each kind.
 */
export class HeadArena {
  #text: TextBuffer;
  #textAt = 0;
  #rows: Int32Array;
  #rowsAt = 0;
  /** Where the last reservation starts. */
  textAt = 0;
  rowsAt = 0;

  constructor() {
    this.#text = allocateText(textSlabBytes);
    this.#rows = new Int32Array(rowSlabLength);
  }

  /** Makes room for `bytes`: in the buffer answered, from `textAt`, until the next call. */
  reserveText(bytes: number): TextBuffer {
    if (bytes > textSlabBytes / 2) {
      this.textAt = 0;
      return allocateText(bytes);
    }
    if (this.#textAt + bytes > textSlabBytes) {
      this.#text = allocateText(textSlabBytes);
      this.#textAt = 0;
    }
    this.textAt = this.#textAt;
    this.#textAt += bytes;
    return this.#text;
  }

  /** Likewise for rows: `rowsAt` is the first number of the region. */
  reserveRows(length: number): Int32Array {
    if (length > rowSlabLength / 2) {
      this.rowsAt = 0;
      return new Int32Array(length);
    }
    if (this.#rowsAt + length > rowSlabLength) {
      this.#rows = new Int32Array(rowSlabLength);
      this.#rowsAt = 0;
    }
    this.rowsAt = this.#rowsAt;
    this.#rowsAt += length;
    return this.#rows;
  }

}

/** Small enough that a long-lived exchange does not hold much of other people's heads. */
const textSlabBytes = 16 * 1024;
const rowSlabLength = 4 * 1024;
