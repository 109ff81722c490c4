import { allocateText, type TextBuffer } from '../byte-text.ts';
import { copyBytes } from '../received-head.ts';
import type { FailureReason } from './failure-reason.ts';
import type { Http2Limits } from './http2-limits.ts';

/** A header block that comes in several frames (RFC 9113 section 4.3): at most one at a time, bounded in bytes and frames. */
export class HeaderBlock {
  /** 0: none is under way. */
  streamId = 0;
  endStream = false;
  bytes: TextBuffer = empty;
  length = 0;
  #frames = 0;

  begin(streamId: number, endStream: boolean): void {
    this.streamId = streamId;
    this.endStream = endStream;
    this.length = 0;
    this.#frames = 0;
  }

  /** Why it is too much; null where it is not. */
  append(bytes: Uint8Array, at: number, end: number, limits: Http2Limits): FailureReason | null {
    if (++this.#frames > limits.headerBlockFramesMax) return 'header-block-frames';
    const needed = this.length + end - at;
    if (needed > limits.headerBlockBytesMax) return 'header-block-bytes';
    if (needed > this.bytes.length) {
      const larger = allocateText(Math.min(limits.headerBlockBytesMax, needed * 2));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    copyBytes(bytes, at, end, this.bytes, this.length);
    this.length = needed;
    return null;
  }

  /** The block has been decoded: connections hold no memory for it in between. */
  clear(): void {
    this.streamId = 0;
    this.bytes = empty;
    this.length = 0;
  }
}

const empty = allocateText(0);
