import { ChunkedDecoder, chunkedBad, chunkedData, chunkedEnd, chunkedMore } from './chunked-decoder.ts';
import type { HeadArena } from './head-arena.ts';
import { HeadReader } from './head-reader.ts';
import { scanComplete, scanIncomplete, scanTooLarge, type HeadLimits } from './head-scanner.ts';
import type { MessageHead } from './message-head.ts';

/** Splits what follows a head on an HTTP/1 connection into body bytes, trailers and what belongs to the next message. */
export class BodyReader {
  /** Span of data after `bodyData`. */
  dataAt = 0;
  dataEnd = 0;
  /** Position in the input behind what was used. */
  used = 0;
  /** After `bodyTrailers`. */
  trailers: MessageHead | null = null;

  readonly #arena: HeadArena;
  readonly #trailerLimits: HeadLimits;
  #framing: BodyFraming = 'none';
  #left = 0;
  #chunked: ChunkedDecoder | null = null;
  #trailerReader: HeadReader | null = null;
  #inTrailers = false;

  constructor(arena: HeadArena, trailerLimits: HeadLimits) {
    this.#arena = arena;
    this.#trailerLimits = trailerLimits;
  }

  /** `length` counts for framing `length` only. */
  start(framing: BodyFraming, length: number): void {
    this.#framing = framing === 'length' && length === 0 ? 'none' : framing;
    this.#left = length;
    this.#inTrailers = false;
    this.trailers = null;
    if (framing === 'chunked') {
      if (this.#chunked === null) this.#chunked = new ChunkedDecoder();
      else this.#chunked.reset();
    }
  }

  /** Everything of the message has been read. */
  get done(): boolean {
    return this.#framing === 'none';
  }

  /** The end of the connection ends the body. */
  get untilClose(): boolean {
    return this.#framing === 'close';
  }

  /** One event from `bytes[at, to)`; call again from `used`. */
  read(bytes: Uint8Array, at: number, to: number): BodyEvent {
    switch (this.#framing) {
      case 'none':
        this.used = at;
        return bodyEnd;
      case 'length':
        return this.#readLength(at, to);
      case 'chunked':
        return this.#inTrailers ? this.#readTrailers(bytes, at, to) : this.#readChunk(bytes, at, to);
      case 'close':
        if (at === to) return bodyMore;
        this.dataAt = at;
        this.dataEnd = to;
        this.used = to;
        return bodyData;
    }
  }

  #readLength(at: number, to: number): BodyEvent {
    const length = Math.min(this.#left, to - at);
    if (length === 0) {
      this.used = at;
      return bodyMore;
    }
    this.#left -= length;
    this.dataAt = at;
    this.dataEnd = at + length;
    this.used = at + length;
    if (this.#left > 0) return bodyData;
    this.#framing = 'none';
    return bodyLast;
  }

  #readChunk(bytes: Uint8Array, at: number, to: number): BodyEvent {
    const decoder = this.#chunked as ChunkedDecoder;
    const event = decoder.decode(bytes, at, to);
    this.used = decoder.used;
    switch (event) {
      case chunkedMore:
        return bodyMore;
      case chunkedData:
        this.dataAt = decoder.dataAt;
        this.dataEnd = decoder.dataEnd;
        return bodyData;
      case chunkedBad:
        return bodyBad;
      case chunkedEnd:
        this.#inTrailers = true;
        return this.#readTrailers(bytes, decoder.used, to);
    }
  }

  #readTrailers(bytes: Uint8Array, at: number, to: number): BodyEvent {
    if (at === to) {
      this.used = at;
      return bodyMore;
    }
    this.#trailerReader ??= new HeadReader('trailers', this.#arena, this.#trailerLimits);
    const reader = this.#trailerReader;
    const verdict = reader.read(bytes, at, to);
    if (verdict === scanIncomplete) {
      this.used = to;
      return bodyMore;
    }
    if (verdict !== scanComplete) return verdict === scanTooLarge ? bodyTooLarge : bodyBad;
    this.#framing = 'none';
    this.used = reader.used;
    const head = reader.take();
    if (head.rowCount === 0) return bodyEnd;
    this.trailers = head;
    return bodyTrailers;
  }
}

export type BodyFraming = 'none' | 'length' | 'chunked' | 'close';

export const bodyMore = 0;
export const bodyData = 1;
/** Data, and it was the last. */
export const bodyLast = 2;
/** The end, without data. */
export const bodyEnd = 3;
/** The end, with trailers. */
export const bodyTrailers = 4;
export const bodyBad = 5;
/** Trailers beyond their limits. */
export const bodyTooLarge = 6;
export type BodyEvent =
  | typeof bodyMore | typeof bodyData | typeof bodyLast | typeof bodyEnd | typeof bodyTrailers | typeof bodyBad | typeof bodyTooLarge;
