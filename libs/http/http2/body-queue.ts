import { allocateText, type TextBuffer } from '../byte-text.ts';
import { copyBytes } from '../received-head.ts';

/** Body bytes that wait: copies, in chunks that grow, so that many small pieces cost little more than their bytes. Bounded by who fills it. */
export class BodyQueue {
  #chunks: Chunk[] = [];
  #first = 0;
  length = 0;

  push(bytes: Uint8Array, at: number, to: number): void {
    let from = at;
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.end < last.bytes.length) {
      const taken = Math.min(last.bytes.length - last.end, to - at);
      copyBytes(bytes, at, at + taken, last.bytes, last.end);
      last.end += taken;
      from += taken;
    }
    if (from < to) {
      const size = Math.max(to - from, Math.min(chunkMax, Math.max(chunkMin, this.length)));
      const chunk = { bytes: allocateText(size), at: 0, end: to - from };
      copyBytes(bytes, from, to, chunk.bytes, 0);
      this.#chunks.push(chunk);
    }
    this.length += to - at;
  }

  /** The oldest bytes, where `length` is not 0; then `take`. */
  front(): Readonly<Chunk> {
    return this.#chunks[this.#first] as Chunk;
  }

  /** The first `count` bytes of the front are done with. */
  take(count: number): void {
    const chunk = this.front() as Chunk;
    chunk.at += count;
    this.length -= count;
    if (chunk.at < chunk.end) return;
    this.#first++;
    if (this.#first === this.#chunks.length) {
      this.#chunks = [];
      this.#first = 0;
    }
  }
}

export interface Chunk {
  bytes: TextBuffer;
  at: number;
  end: number;
}

const chunkMin = 512;
const chunkMax = 16 * 1024;
