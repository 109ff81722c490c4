/**
 * Decoder of chunked bodies (RFC 9112 section 7.1), byte by byte where framing is, span by span where data is. Strict: CRLF only,
 * 1 to 15 hex digits, extensions of the exact grammar, checked and dropped. The decoder stops behind the last chunk's CRLF: what
 * follows is the trailer section, read by a HeadReader of kind `trailers`.
 *
 * Overhead is bounded: extensions by `extensionBytesMax` per message, all framing together by `overheadFree` plus `overheadRatio` times
 * the data, so that one-byte chunks cost at most their due.
 */
export class ChunkedDecoder {
  /** Span of data after `chunkedData`. */
  dataAt = 0;
  dataEnd = 0;
  /** Position in the input behind what was used. */
  used = 0;

  #state: State = sizeStart;
  #size = 0;
  #digits = 0;
  #extensionBytes = 0;
  #overhead = 0;
  #data = 0;

  reset(): void {
    this.#state = sizeStart;
    this.#size = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#overhead = 0;
    this.#data = 0;
  }

  /** One event from `bytes[at, to)`; call again from `used` until it asks for more. */
  decode(bytes: Uint8Array, at: number, to: number): ChunkedEvent {
    let i = at;
    while (i < to) {
      if (this.#state === inData) return this.#takeData(i, to);
      const byte = bytes[i++] as number;
      if (++this.#overhead > overheadFree && this.#overhead > overheadFree + overheadRatio * this.#data) return chunkedBad;
      const next = this.#step(byte);
      if (next === bad) return chunkedBad;
      this.#state = next;
      if (next === finished) {
        this.used = i;
        return chunkedEnd;
      }
    }
    this.used = i;
    return chunkedMore;
  }

  #takeData(at: number, to: number): ChunkedEvent {
    const length = Math.min(this.#size, to - at);
    this.#size -= length;
    this.#data += length;
    this.dataAt = at;
    this.dataEnd = at + length;
    this.used = at + length;
    if (this.#size === 0) this.#state = dataCr;
    return chunkedData;
  }

  #step(byte: number): State {
    switch (this.#state) {
      case sizeStart:
      case size:
        return this.#sizeByte(byte);
      case sizeLf:
        if (byte !== LF) return bad;
        this.#digits = 0;
        return this.#size === 0 ? finished : inData;
      case dataCr:
        return byte === CR ? dataLf : bad;
      case dataLf:
        return byte === LF ? sizeStart : bad;
      default:
        return ++this.#extensionBytes > extensionBytesMax ? bad : extensionByte(this.#state, byte);
    }
  }

  #sizeByte(byte: number): State {
    const digit = hexDigit[byte] as number;
    if (digit < 16) {
      this.#size = this.#state === sizeStart ? digit : this.#size * 16 + digit;
      return ++this.#digits > sizeDigitsMax || this.#size > Number.MAX_SAFE_INTEGER ? bad : size;
    }
    if (this.#state === sizeStart) return bad;
    if (byte === CR) return sizeLf;
    return byte === SEMICOLON ? extensionStart : bad;
  }
}

/** `;name`, `;name=token`, `;name="quoted"`, repeated; no white space. */
function extensionByte(state: State, byte: number): State {
  const token = isToken[byte] === 1;
  switch (state) {
    case extensionStart:
      return token ? extensionName : bad;
    case extensionName:
      if (token) return extensionName;
      if (byte === EQUALS) return extensionValue;
      return endOfExtension(byte);
    case extensionValue:
      if (byte === QUOTE) return quoted;
      return token ? extensionToken : bad;
    case extensionToken:
      return token ? extensionToken : endOfExtension(byte);
    case quoted:
      if (byte === QUOTE) return quotedEnd;
      if (byte === BACKSLASH) return quotedPair;
      return byte === 9 || (byte >= 32 && byte !== 127) ? quoted : bad;
    case quotedPair:
      return byte === 9 || (byte >= 32 && byte !== 127) ? quoted : bad;
    case quotedEnd:
      return endOfExtension(byte);
    default:
      return bad;
  }
}

function endOfExtension(byte: number): State {
  if (byte === CR) return sizeLf;
  return byte === SEMICOLON ? extensionStart : bad;
}

export const chunkedMore = 0;
export const chunkedData = 1;
/** The last chunk: trailers follow. */
export const chunkedEnd = 2;
export const chunkedBad = 3;
export type ChunkedEvent = typeof chunkedMore | typeof chunkedData | typeof chunkedEnd | typeof chunkedBad;

export const sizeDigitsMax = 15;
export const extensionBytesMax = 4096;
export const overheadFree = 64 * 1024;
export const overheadRatio = 8;

type State = number;
const bad = -1;
const sizeStart = 0;
const size = 1;
const sizeLf = 2;
const inData = 3;
const dataCr = 4;
const dataLf = 5;
const finished = 6;
const extensionStart = 7;
const extensionName = 8;
const extensionValue = 9;
const extensionToken = 10;
const quoted = 11;
const quotedPair = 12;
const quotedEnd = 13;

const CR = 13;
const LF = 10;
const SEMICOLON = 59;
const EQUALS = 61;
const QUOTE = 34;
const BACKSLASH = 92;

const hexDigit = new Uint8Array(256).fill(16);
for (let i = 0; i < 16; i++) {
  hexDigit[i.toString(16).charCodeAt(0)] = i;
  hexDigit[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}
const isToken = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") isToken[char.charCodeAt(0)] = 1;
