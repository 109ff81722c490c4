import { hashHeaderByte, headerId, headerTableVersion, lookUpHeaderBytes, tokenLower } from './header-ids.ts';
import { rowStride } from './message-head.ts';

/**
 * One strict pass over a head: start line and fields, CRLF only (RFC 9112 sections 2 to 5, security.md 1.1 to 1.5). Results are
 * offsets from the start of the head, so the bytes may move between calls. A line that is not complete yet is scanned again
 * from its start when more has come: verdict and results do not depend on how the input was cut.
 */
export class HeadScanner {
  /** As in MessageHead, but with every field in them, framing and hop-by-hop ones too. */
  rows = new Int32Array(32 * rowStride);
  rowCount = 0;
  /** Length of the head, empty line included; valid after `complete`. */
  length = 0;
  /** Start of the first line that is not scanned yet. */
  lineAt = 0;

  /** Start of the start line, behind empty lines. Request: end of the method, start and end of the target. Response: status. */
  startAt = 0;
  methodEnd = 0;
  targetAt = 0;
  targetEnd = 0;
  /** Position of the first `?`; -1 where there is none. */
  queryAt = -1;
  /** No byte of the target can make its path spelled other than canonically. */
  targetPlain = true;
  /** End of the start line, CRLF included. */
  startEnd = 0;
  status = 0;
  minorVersion = 1;
  /** -1: no such field. */
  contentLength = -1;
  chunked = false;
  transferEncoding = false;
  hostRow = -1;
  connection = 0;
  upgrade = false;
  expectContinue = false;
  /** `timeout` of Keep-Alive in seconds; -1 where nothing was said. */
  keepAliveSeconds = -1;
  tableVersion = 0;

  #kind: HeadKind;
  #inFields = false;
  #emptyLines = 0;

  constructor(kind: HeadKind) {
    this.#kind = kind;
    this.#inFields = kind === 'trailers';
  }

  reset(): void {
    this.rowCount = 0;
    this.length = 0;
    this.lineAt = 0;
    this.startAt = 0;
    this.startEnd = 0;
    this.status = 0;
    this.minorVersion = 1;
    this.contentLength = -1;
    this.chunked = false;
    this.transferEncoding = false;
    this.hostRow = -1;
    this.connection = 0;
    this.upgrade = false;
    this.expectContinue = false;
    this.keepAliveSeconds = -1;
    this.tableVersion = headerTableVersion();
    this.#inFields = this.#kind === 'trailers';
    this.#emptyLines = 0;
  }

  /** Looks at `bytes[from, to)`, where `from` is the first byte of the head, each time all that has come so far. */
  scan(bytes: Uint8Array, from: number, to: number, limits: HeadLimits): ScanVerdict {
    const end = to - from > limits.bytesMax ? from + limits.bytesMax : to;
    let verdict: ScanVerdict = scanAgain;
    if (!this.#inFields) {
      verdict = this.#kind === 'request' ? this.#requestLine(bytes, from, end) : this.#statusLine(bytes, from, end);
      if (verdict === scanAgain) this.#inFields = true;
    }
    if (verdict === scanAgain) verdict = this.#fields(bytes, from, end, limits.fieldsMax);
    return verdict === scanIncomplete && to - from >= limits.bytesMax ? scanTooLarge : verdict;
  }

  #requestLine(bytes: Uint8Array, from: number, end: number): ScanVerdict {
    let at = from + this.lineAt;
    // RFC 9112 section 2.2: an empty line before the request line is ignored; a few, so that nobody sends them for ever.
    while (at < end && bytes[at] === CR) {
      if (at + 1 >= end) return scanIncomplete;
      if (bytes[at + 1] !== LF || ++this.#emptyLines > emptyLinesMax) return scanBad;
      at += 2;
      this.lineAt += 2;
    }
    const start = at;
    while (at < end && tokenLower[bytes[at] as number] !== 0) at++;
    if (at >= end) return scanIncomplete;
    if (bytes[at] !== SP || at === start) return scanBad;
    this.startAt = start - from;
    this.methodEnd = at - from;
    return this.#target(bytes, from, at + 1, end);
  }

  #target(bytes: Uint8Array, from: number, start: number, end: number): ScanVerdict {
    let at = start;
    let byte = 0;
    let previous = 0;
    let plain = true;
    while (at < end && visible(byte = bytes[at] as number) && byte !== QUESTION) {
      const kind = pathByte[byte];
      if (kind !== pathPlain && (kind === pathSpecial || previous === SLASH)) plain = false;
      previous = byte;
      at++;
    }
    this.queryAt = byte === QUESTION ? at - from : -1;
    while (at < end && visible(byte = bytes[at] as number)) {
      if (byte === HASH) plain = false;
      at++;
    }
    if (at >= end) return scanIncomplete;
    if (bytes[at] !== SP || at === start) return scanBad;
    this.targetAt = start - from;
    this.targetEnd = at - from;
    this.targetPlain = plain;
    return this.#version(bytes, from, at + 1, end, 0);
  }

  #statusLine(bytes: Uint8Array, from: number, end: number): ScanVerdict {
    const verdict = this.#version(bytes, from, from + this.lineAt, end, 4);
    if (verdict !== scanAgain) return verdict;
    let at = from + this.lineAt + versionLength + 1;
    let status = 0;
    for (let i = 0; i < 3; i++, at++) {
      if (at >= end) return scanIncomplete;
      const digit = (bytes[at] as number) - 48;
      if (digit < 0 || digit > 9) return scanBad;
      status = status * 10 + digit;
    }
    // RFC 9110 section 15: above 599 is invalid, and treated as 5xx by whom it is for; it goes on as it came.
    if (status < 100) return scanBad;
    this.status = status;
    if (at >= end) return scanIncomplete;
    // The space before an empty reason phrase is often left out; nothing depends on it.
    if (bytes[at] !== SP && bytes[at] !== CR) return scanBad;
    while (at < end && valueByte[bytes[at] as number] === 1) at++;
    return this.#endStartLine(bytes, from, at, end);
  }

  /** `HTTP/1.x` at `at`, then CRLF (requests), or a space with `tail` bytes following (responses). */
  #version(bytes: Uint8Array, from: number, at: number, end: number, tail: number): ScanVerdict {
    for (let i = 0; i < versionLength; i++) {
      if (at + i >= end) return scanIncomplete;
      const byte = bytes[at + i] as number;
      if (i === 5 || i === 7 ? byte < 48 || byte > 57 : byte !== versionPattern[i]) return scanBad;
    }
    if (bytes[at + 5] !== 49 || (bytes[at + 7] as number) > 49) return scanVersion;
    this.minorVersion = (bytes[at + 7] as number) - 48;
    if (tail === 0) return this.#endStartLine(bytes, from, at + versionLength, end);
    if (at + versionLength >= end) return scanIncomplete;
    return bytes[at + versionLength] === SP ? scanAgain : scanBad;
  }

  #endStartLine(bytes: Uint8Array, from: number, at: number, end: number): ScanVerdict {
    if (at >= end) return scanIncomplete;
    if (bytes[at] !== CR) return scanBad;
    if (at + 1 >= end) return scanIncomplete;
    if (bytes[at + 1] !== LF) return scanBad;
    this.lineAt = at + 2 - from;
    this.startEnd = this.lineAt;
    return scanAgain;
  }

  #fields(bytes: Uint8Array, from: number, end: number, fieldsMax: number): ScanVerdict {
    let at = from + this.lineAt;
    for (;;) {
      const start = at;
      let hash = 0;
      let lower = 0;
      while (at < end && (lower = tokenLower[bytes[at] as number] as number) !== 0) {
        hash = hashHeaderByte(hash, lower);
        at++;
      }
      if (at >= end) return scanIncomplete;
      if (at === start) return this.#emptyLine(bytes, from, at, end);
      if (bytes[at] !== COLON) return scanBad;
      const nameEnd = at++;
      let byte = 0;
      while (at < end && ((byte = bytes[at] as number) === SP || byte === HTAB)) at++;
      const valueAt = at;
      while (at < end && valueByte[bytes[at] as number] === 1) at++;
      if (at >= end) return scanIncomplete;
      if (bytes[at] !== CR) return scanBad;
      if (at + 1 >= end) return scanIncomplete;
      if (bytes[at + 1] !== LF) return scanBad;
      let valueEnd = at;
      while (valueEnd > valueAt && ((byte = bytes[valueEnd - 1] as number) === SP || byte === HTAB)) valueEnd--;
      at += 2;
      if (this.rowCount >= fieldsMax) return scanTooLarge;
      const id = lookUpHeaderBytes(bytes, start, nameEnd, hash);
      this.#addRow(id, start - from, nameEnd - from, valueAt - from, valueEnd - from, at - from);
      if (id <= lastFramingId && id !== 0 && this.#kind !== 'trailers' && !this.#framingField(id, bytes, valueAt, valueEnd)) return scanBad;
      this.lineAt = at - from;
    }
  }

  #emptyLine(bytes: Uint8Array, from: number, at: number, end: number): ScanVerdict {
    if (bytes[at] !== CR) return scanBad;
    if (at + 1 >= end) return scanIncomplete;
    if (bytes[at + 1] !== LF) return scanBad;
    this.length = at + 2 - from;
    return scanComplete;
  }

  #addRow(id: number, start: number, nameEnd: number, valueAt: number, valueEnd: number, lineEnd: number): void {
    let row = this.rowCount++ * rowStride;
    if (row + rowStride > this.rows.length) {
      const larger = new Int32Array(this.rows.length * 2);
      larger.set(this.rows);
      this.rows = larger;
    }
    const { rows } = this;
    rows[row++] = id;
    rows[row++] = start;
    rows[row++] = nameEnd;
    rows[row++] = valueAt;
    rows[row++] = valueEnd;
    rows[row] = lineEnd;
  }

  #framingField(id: number, bytes: Uint8Array, at: number, end: number): boolean {
    switch (id) {
      case hostId:
        if (this.hostRow >= 0) return false;
        this.hostRow = this.rowCount - 1;
        return true;
      case contentLengthId:
        if (this.contentLength >= 0 || this.transferEncoding) return false;
        this.contentLength = parseLength(bytes, at, end);
        return this.contentLength >= 0;
      case transferEncodingId:
        if (this.transferEncoding || this.contentLength >= 0) return false;
        this.transferEncoding = true;
        this.chunked = sameText(bytes, at, end, chunkedText);
        return this.chunked;
      case connectionId:
        this.connection |= connectionOptions(bytes, at, end);
        return true;
      case upgradeId:
        this.upgrade = true;
        return true;
      case expectId:
        this.expectContinue = sameText(bytes, at, end, continueText);
        if (!this.expectContinue) this.connection |= unknownExpectation;
        return true;
      case keepAliveId:
        this.keepAliveSeconds = keepAliveTimeout(bytes, at, end);
        return true;
      default:
        return true;
    }
  }
}

export type HeadKind = 'request' | 'response' | 'trailers';

export interface HeadLimits {
  /** Bytes of start line, fields and the empty line. */
  readonly bytesMax: number;
  readonly fieldsMax: number;
}

/** Positive: go on. Negative: refused. */
export type ScanVerdict = typeof scanIncomplete | typeof scanAgain | typeof scanComplete | typeof scanBad | typeof scanTooLarge | typeof scanVersion;
export const scanIncomplete = 0;
export const scanComplete = 1;
/** Internal: the start line is done, go on with the fields. */
export const scanAgain = 2;
export const scanBad = -1;
export const scanTooLarge = -2;
export const scanVersion = -3;

/** Bits of `connection`. */
export const connectionClose = 1;
export const connectionKeepAlive = 2;
export const connectionUpgrade = 4;
/** Names fields: they must not be forwarded. */
export const connectionNames = 8;
/** An `Expect` that is not `100-continue`. */
export const unknownExpectation = 16;
/** HTTP/2: `te: trailers` was received. */
export const trailersAccepted = 32;

const CR = 13;
const LF = 10;
const SP = 32;
const HTAB = 9;
const COLON = 58;
const QUESTION = 63;
const HASH = 35;
const SLASH = 47;
const emptyLinesMax = 4;
const versionPattern = Buffer.from('HTTP/1.1');
const versionLength = 8;
const hostId = headerId('host');
const connectionId = headerId('connection');
const contentLengthId = headerId('content-length');
const transferEncodingId = headerId('transfer-encoding');
const upgradeId = headerId('upgrade');
const expectId = headerId('expect');
const keepAliveId = headerId('keep-alive');
/** Ids up to this are host, framing and hop-by-hop fields: see header-ids.ts. */
export const lastFramingId = headerId('proxy-connection');

/** HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5). */
export const valueByte = new Uint8Array(256);
for (let i = 0; i < 256; i++) valueByte[i] = i === HTAB || (i >= SP && i !== 127) ? 1 : 0;

/** Visible ASCII: everything a target may have in any form, and what browsers leave unescaped. The path is judged later. */
function visible(byte: number): boolean {
  return byte > SP && byte < 127;
}

/** Kinds of `pathByte`. */
export const pathPlain = 0;
export const pathSpecial = 1;
/** Plain, unless it follows a slash. */
const pathAfterSlash = 2;
export const pathByte: Uint8Array = new Uint8Array(256).fill(pathSpecial);
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,=:@") pathByte[char.charCodeAt(0)] = pathPlain;
pathByte[46] = pathAfterSlash;
pathByte[47] = pathAfterSlash;

/** -1 where it is not 1*DIGIT or above 2^53 - 1 (RFC 9110 section 8.6). */
export function parseLength(bytes: Uint8Array, at: number, end: number): number {
  if (end === at || end - at > 20) return -1;
  let length = 0;
  for (let i = at; i < end; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1;
}

const chunkedText = Buffer.from('chunked');
export const continueText = Buffer.from('100-continue');
const closeText = Buffer.from('close');
const keepAliveText = Buffer.from('keep-alive');
const upgradeText = Buffer.from('upgrade');

/** Compares with lower-case ASCII, in any case. */
export function sameText(bytes: Uint8Array, at: number, end: number, text: Uint8Array): boolean {
  if (end - at !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[at + i] as number;
    if ((byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte) !== text[i]) return false;
  }
  return true;
}

function connectionOptions(bytes: Uint8Array, from: number, end: number): number {
  let options = 0;
  let at = from;
  while (at < end) {
    let comma = at;
    while (comma < end && bytes[comma] !== 44) comma++;
    let start = at;
    let last = comma;
    while (start < last && (bytes[start] === SP || bytes[start] === HTAB)) start++;
    while (last > start && (bytes[last - 1] === SP || bytes[last - 1] === HTAB)) last--;
    if (last > start) options |= connectionOption(bytes, start, last);
    at = comma + 1;
  }
  return options;
}

function connectionOption(bytes: Uint8Array, at: number, end: number): number {
  if (sameText(bytes, at, end, closeText)) return connectionClose;
  if (sameText(bytes, at, end, keepAliveText)) return connectionKeepAlive;
  if (sameText(bytes, at, end, upgradeText)) return connectionUpgrade;
  return connectionNames;
}

/** `timeout=5, max=100`: 5. */
function keepAliveTimeout(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at + timeoutText.length < end; at++) {
    if (!sameText(bytes, at, at + timeoutText.length, timeoutText)) continue;
    let seconds = 0;
    let i = at + timeoutText.length;
    for (; i < end && i < at + timeoutText.length + 9; i++) {
      const digit = (bytes[i] as number) - 48;
      if (digit < 0 || digit > 9) break;
      seconds = seconds * 10 + digit;
    }
    return i > at + timeoutText.length ? seconds : -1;
  }
  return -1;
}

const timeoutText = Buffer.from('timeout=');
