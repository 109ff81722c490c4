import { allocateText, type TextBuffer } from '../../byte-text.ts';
import type { SessionOutput } from '../session-ports.ts';

/** What a session writes, in memory. */
export class MemoryOutput implements SessionOutput {
  congested = false;
  outAt = 0;
  #bytes = allocateText(1024);

  reserve(bytes: number): TextBuffer {
    if (this.outAt + bytes > this.#bytes.length) {
      const larger = allocateText((this.outAt + bytes) * 2);
      this.#bytes.copy(larger, 0, 0, this.outAt);
      this.#bytes = larger;
    }
    return this.#bytes;
  }

  wrote(end: number): void {
    this.outAt = end;
  }

  /** Everything written since the last call. */
  take(): Buffer {
    const bytes = Buffer.from(this.#bytes.subarray(0, this.outAt));
    this.outAt = 0;
    return bytes;
  }
}
