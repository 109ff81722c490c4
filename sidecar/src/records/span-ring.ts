import { asText, type TextBuffer } from '@remora/http/byte-text';

/**
 * Records on their way from a data thread to the control thread: a ring in shared memory with one writer and one reader. Nobody waits for
 * anybody: what does not fit is counted and lost. Positions count bytes since the start, modulo 2^32.
 *
 * A record is its length (4 bytes, itself included) and what the writer puts behind it, in one piece; a length of 0 sends the reader back
 * to the start of the ring.
 */
export class SpanRing {
  readonly memory: SharedArrayBuffer;
  readonly #positions: Int32Array;
  readonly #bytes: TextBuffer;
  readonly #view: DataView;
  /** Writer: where the record under way began, and where its next byte goes; offsets into the ring. */
  #start = 0;
  #at = 0;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(spanRingBytes)) {
    this.memory = memory;
    this.#positions = new Int32Array(memory, 0, 4);
    this.#bytes = asText(new Uint8Array(memory, headerBytes));
    this.#view = new DataView(memory, headerBytes);
  }

  // --- writer -----------------------------------------------------------------------------------------------------

  /** False: there is no room for a record of `recordMax` bytes; it is counted as dropped, and nothing may be put. */
  begin(): boolean {
    const written = Atomics.load(this.#positions, writtenAt) >>> 0;
    const used = (written - (Atomics.load(this.#positions, readAt) >>> 0)) >>> 0;
    const offset = written & mask;
    const tail = ringBytes - offset;
    const skipped = tail < recordMax ? tail : 0;
    if (used + skipped + recordMax > ringBytes) {
      Atomics.add(this.#positions, droppedAt, 1);
      return false;
    }
    if (skipped > 0) {
      this.#view.setUint32(offset, 0, true);
      Atomics.store(this.#positions, writtenAt, (written + skipped) | 0);
    }
    this.#start = skipped > 0 ? 0 : offset;
    this.#at = this.#start + 4;
    return true;
  }

  byte(value: number): void {
    this.#bytes[this.#at++] = value;
  }

  short(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  double(value: number): void {
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  /** Latin-1, as header text is; at most `textMax` characters are kept. */
  text(text: string): void {
    const length = text.length <= textMax ? text.length : textMax;
    this.short(length);
    if (length === 0) return;
    this.#bytes.latin1Write(text, this.#at, length);
    this.#at += length;
  }

  /** The record is whole: the reader may see it. */
  end(): void {
    // Aligned, so that the length of the next record never lies across the end of the ring.
    const length = (this.#at - this.#start + 3) & ~3;
    this.#view.setUint32(this.#start, length, true);
    Atomics.store(this.#positions, writtenAt, (Atomics.load(this.#positions, writtenAt) + length) | 0);
  }

  // --- reader -----------------------------------------------------------------------------------------------------

  /** Reads the next record with `read`; null where there is none. */
  take<T>(read: (cursor: SpanCursor) => T): T | null {
    for (;;) {
      const from = Atomics.load(this.#positions, readAt) >>> 0;
      if (from === Atomics.load(this.#positions, writtenAt) >>> 0) return null;
      const offset = from & mask;
      const length = this.#view.getUint32(offset, true);
      if (length === 0) {
        Atomics.store(this.#positions, readAt, (from + ringBytes - offset) | 0);
        continue;
      }
      const record = read(new SpanCursor(this.#bytes, this.#view, offset + 4));
      Atomics.store(this.#positions, readAt, (from + length) | 0);
      return record;
    }
  }

  /** Records that did not fit, since the start. */
  get dropped(): number {
    return Atomics.load(this.#positions, droppedAt) >>> 0;
  }
}

/** Reads one record, in the order in which it was written. */
export class SpanCursor {
  readonly #bytes: TextBuffer;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: TextBuffer, view: DataView, at: number) {
    this.#bytes = bytes;
    this.#view = view;
    this.#at = at;
  }

  byte(): number {
    return this.#bytes[this.#at++] as number;
  }

  short(): number {
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2, true);
  }

  double(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  text(): string {
    const length = this.short();
    this.#at += length;
    return length === 0 ? '' : this.#bytes.latin1Slice(this.#at - length, this.#at);
  }
}

/** Characters of one text. */
export const textMax = 1_024;
/** A record has at most 15 long texts; its writer keeps to it. */
const recordMax = 18 * 1024;
/** Some 1,500 spans of 350 bytes. A power of two. */
const ringBytes = 512 * 1024;
const mask = ringBytes - 1;
const writtenAt = 0;
const readAt = 1;
const droppedAt = 2;
const headerBytes = 16;
export const spanRingBytes = headerBytes + ringBytes;
