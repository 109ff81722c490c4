import { allocateText, asText, type TextBuffer } from '../byte-text.ts';
import { copyBytes } from '../received-head.ts';
import { frameFlag, frameHeaderBytes, frameType } from './frame-type.ts';

/**
 * Splits a connection's input into frames (RFC 9113 section 4.1), however it is cut. DATA is passed on in pieces as it comes, where it lies; other frames whole, from
 * where they lie if they came in one piece. Holds at most one incomplete frame.
 */
export class FrameReader {
  /** Of the current frame. */
  type = 0;
  flags = 0;
  streamId = 0;
  /** Payload bytes, padding included. */
  length = 0;
  /** After `framePayload`: the whole payload. After `frameData`: what came of the data. Borrowed until the next call. */
  payload: TextBuffer = noBytes;
  payloadAt = 0;
  payloadEnd = 0;
  /** After `frameData`: bytes that count for flow control, padding included, and whether the frame is complete. */
  flowBytes = 0;
  frameDone = false;
  /** Of a DATA frame: nothing or padding is all there is in it, in whichever pieces it comes. */
  frameEmpty = false;
  /** Position in the input behind what was used. */
  used = 0;

  readonly #bytesMax: number;
  readonly #header = new Uint8Array(frameHeaderBytes);
  #headerLength = 0;
  /** Payload of a frame that is not DATA and did not come whole. */
  #partial: TextBuffer | null = null;
  #partialLength = 0;
  /** Of a DATA frame under way. */
  #inData = false;
  #dataLeft = 0;
  #paddingLeft = 0;
  #paddingUnknown = false;

  /** `bytesMax`: SETTINGS_MAX_FRAME_SIZE as announced. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Between frames, or within DATA: nothing is awaited that the peer must complete soon. */
  get settled(): boolean {
    return this.#headerLength === 0 && this.#partial === null;
  }

  /** One event from `bytes[at, to)`; call again from `used`. */
  read(bytes: TextBuffer, at: number, to: number): FrameEvent {
    if (this.#inData) return this.#readData(bytes, at, to);
    if (this.#partial !== null) return this.#readPartial(this.#partial, bytes, at, to);
    let from = at;
    if (this.#headerLength > 0 || to - at < frameHeaderBytes) {
      const taken = Math.min(frameHeaderBytes - this.#headerLength, to - at);
      for (let i = 0; i < taken; i++) this.#header[this.#headerLength + i] = bytes[at + i] as number;
      this.#headerLength += taken;
      from += taken;
      if (this.#headerLength < frameHeaderBytes) return this.#more(from);
      this.#headerLength = 0;
      this.#parseHeader(this.#header, 0);
    } else {
      this.#parseHeader(bytes, at);
      from += frameHeaderBytes;
    }
    if (this.length > this.#bytesMax) return frameTooLarge;
    if (this.type === frameType.data) return this.#beginData(bytes, from, to);
    return this.#beginPayload(bytes, from, to);
  }

  #parseHeader(bytes: Uint8Array, at: number): void {
    this.length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    this.type = bytes[at + 3] as number;
    this.flags = bytes[at + 4] as number;
    this.streamId = readUint31(bytes, at + 5);
  }

  #more(used: number): FrameEvent {
    this.used = used;
    return frameMore;
  }

  #beginPayload(bytes: TextBuffer, at: number, to: number): FrameEvent {
    const end = at + this.length;
    if (end <= to) {
      this.payload = bytes;
      this.payloadAt = at;
      this.payloadEnd = end;
      this.used = end;
      return framePayload;
    }
    this.#partial = allocateText(this.length);
    this.#partialLength = 0;
    return this.#readPartial(this.#partial, bytes, at, to);
  }

  #readPartial(partial: TextBuffer, bytes: TextBuffer, at: number, to: number): FrameEvent {
    const taken = Math.min(partial.length - this.#partialLength, to - at);
    copyBytes(bytes, at, at + taken, partial, this.#partialLength);
    this.#partialLength += taken;
    if (this.#partialLength < partial.length) return this.#more(at + taken);
    this.#partial = null;
    this.payload = partial;
    this.payloadAt = 0;
    this.payloadEnd = partial.length;
    this.used = at + taken;
    return framePayload;
  }

  #beginData(bytes: TextBuffer, at: number, to: number): FrameEvent {
    this.#inData = true;
    this.#dataLeft = this.length;
    this.#paddingLeft = 0;
    this.frameEmpty = this.length === 0;
    this.#paddingUnknown = (this.flags & frameFlag.padded) !== 0;
    if (this.#paddingUnknown && this.length === 0) return frameBadPadding;
    return this.#readData(bytes, at, to);
  }

  #readData(bytes: TextBuffer, from: number, to: number): FrameEvent {
    let at = from;
    if (this.#paddingUnknown) {
      if (at === to) return this.#more(at);
      this.#paddingLeft = bytes[at++] as number;
      this.#dataLeft -= 1 + this.#paddingLeft;
      this.#paddingUnknown = false;
      if (this.#dataLeft < 0) return frameBadPadding;
      this.frameEmpty = this.#dataLeft === 0;
    }
    const data = Math.min(this.#dataLeft, to - at);
    const padding = data === this.#dataLeft ? Math.min(this.#paddingLeft, to - at - data) : 0;
    this.#dataLeft -= data;
    this.#paddingLeft -= padding;
    this.payload = bytes;
    this.payloadAt = at;
    this.payloadEnd = at + data;
    this.used = at + data + padding;
    this.flowBytes = this.used - from;
    this.frameDone = this.#dataLeft === 0 && this.#paddingLeft === 0;
    this.#inData = !this.frameDone;
    return this.flowBytes === 0 && !this.frameDone ? frameMore : frameData;
  }
}

/** More input is needed. */
export const frameMore = 0;
/** A piece of a DATA frame: perhaps only padding, perhaps nothing but its end. */
export const frameData = 1;
/** Any other frame, whole. */
export const framePayload = 2;
export const frameTooLarge = -1;
export const frameBadPadding = -2;
export type FrameEvent = typeof frameMore | typeof frameData | typeof framePayload | typeof frameTooLarge | typeof frameBadPadding;

/** 31 bits; the reserved one is ignored. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) & 0x7f) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return readUint31(bytes, at) + ((bytes[at] as number) >= 0x80 ? 2 ** 31 : 0);
}

const noBytes = asText(new Uint8Array(0));
