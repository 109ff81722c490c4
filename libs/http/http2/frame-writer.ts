import { allocateText, type TextBuffer } from '../byte-text.ts';
import { copyBytes } from '../received-head.ts';
import type { ErrorCode } from './error-code.ts';
import { frameBytesMin, frameFlag, frameHeaderBytes, frameType } from './frame-type.ts';
import type { SessionCounters } from './session-counters.ts';
import type { SessionOutput } from './session-ports.ts';

/** Writes frames (RFC 9113 section 6) into the output of a connection. Payloads are at most 16 KiB, which every peer takes. */
export class FrameWriter {
  /** Where the block begins that `openBlock` made room for. */
  blockAt = 0;
  readonly #output: SessionOutput;
  readonly #counters: SessionCounters;
  #block: TextBuffer | null = null;

  constructor(output: SessionOutput, counters: SessionCounters) {
    this.#output = output;
    this.#counters = counters;
  }

  raw(bytes: Uint8Array): void {
    const out = this.#output.reserve(bytes.length);
    const at = this.#output.outAt;
    copyBytes(bytes, 0, bytes.length, out, at);
    this.#output.wrote(at + bytes.length);
  }

  settings(pairs: readonly (readonly [id: number, value: number])[]): void {
    const length = pairs.length * 6;
    const out = this.#output.reserve(frameHeaderBytes + length);
    let at = this.#header(out, length, frameType.settings, 0, 0);
    for (const [id, value] of pairs) {
      out[at] = id >> 8;
      out[at + 1] = id;
      at = writeUint32(out, at + 2, value);
    }
    this.#output.wrote(at);
  }

  settingsAck(): void {
    this.#output.wrote(this.#header(this.#output.reserve(frameHeaderBytes), 0, frameType.settings, frameFlag.ack, 0));
  }

  /** `payload[at, at + 8)` */
  ping(payload: Uint8Array, from: number, ack: boolean): void {
    const out = this.#output.reserve(frameHeaderBytes + 8);
    const at = this.#header(out, 8, frameType.ping, ack ? frameFlag.ack : 0, 0);
    for (let i = 0; i < 8; i++) out[at + i] = payload[from + i] as number;
    this.#output.wrote(at + 8);
  }

  /** `debug`: ASCII. */
  goAway(lastStreamId: number, code: ErrorCode, debug: string): void {
    const length = 8 + debug.length;
    const out = this.#output.reserve(frameHeaderBytes + length);
    const at = writeUint32(out, writeUint32(out, this.#header(out, length, frameType.goAway, 0, 0), lastStreamId), code);
    out.latin1Write(debug, at, debug.length);
    this.#output.wrote(at + debug.length);
  }

  reset(streamId: number, code: ErrorCode): void {
    const out = this.#output.reserve(frameHeaderBytes + 4);
    this.#output.wrote(writeUint32(out, this.#header(out, 4, frameType.reset, 0, streamId), code));
  }

  windowUpdate(streamId: number, increment: number): void {
    const out = this.#output.reserve(frameHeaderBytes + 4);
    this.#output.wrote(writeUint32(out, this.#header(out, 4, frameType.windowUpdate, 0, streamId), increment));
  }

  /** At most `frameBytesMin` bytes. */
  data(streamId: number, bytes: Uint8Array, at: number, to: number, end: boolean): void {
    const length = to - at;
    const out = this.#output.reserve(frameHeaderBytes + length);
    const payload = this.#header(out, length, frameType.data, end ? frameFlag.endStream : 0, streamId);
    copyBytes(bytes, at, to, out, payload);
    this.#output.wrote(payload + length);
    this.#counters.dataBytesOut += length;
  }

  /** Room for a header block of at most `sizeMax` bytes: in the buffer answered, from `blockAt`; then `closeBlock`, or nothing. */
  openBlock(sizeMax: number): TextBuffer {
    if (sizeMax <= frameBytesMin) {
      this.#block = null;
      const out = this.#output.reserve(frameHeaderBytes + sizeMax);
      this.blockAt = this.#output.outAt + frameHeaderBytes;
      return out;
    }
    this.#block = allocateText(sizeMax);
    this.blockAt = 0;
    return this.#block;
  }

  /** The block ends at `blockEnd`. It goes out as HEADERS, and CONTINUATION where it is long. */
  closeBlock(streamId: number, out: TextBuffer, blockEnd: number, endStream: boolean): void {
    const streamFlag = endStream ? frameFlag.endStream : 0;
    const block = this.#block;
    if (block === null) {
      this.#header(out, blockEnd - this.blockAt, frameType.headers, frameFlag.endHeaders | streamFlag, streamId);
      this.#output.wrote(blockEnd);
      return;
    }
    this.#block = null;
    let at = 0;
    do {
      const length = Math.min(frameBytesMin, blockEnd - at);
      const flags = (at === 0 ? streamFlag : 0) | (at + length === blockEnd ? frameFlag.endHeaders : 0);
      const target = this.#output.reserve(frameHeaderBytes + length);
      const payload = this.#header(target, length, at === 0 ? frameType.headers : frameType.continuation, flags, streamId);
      copyBytes(block, at, at + length, target, payload);
      this.#output.wrote(payload + length);
      at += length;
    } while (at < blockEnd);
  }

  /** Answers where the payload begins. */
  #header(out: TextBuffer, length: number, type: number, flags: number, streamId: number): number {
    this.#counters.framesOut++;
    const at = this.#output.outAt;
    out[at] = length >> 16;
    out[at + 1] = length >> 8;
    out[at + 2] = length;
    out[at + 3] = type;
    out[at + 4] = flags;
    return writeUint32(out, at + 5, streamId);
  }
}

function writeUint32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}
