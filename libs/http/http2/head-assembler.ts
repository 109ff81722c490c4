import { allocateText, type TextBuffer } from '../byte-text.ts';
import { continueText, parseLength, sameText, trailersAccepted, unknownExpectation, type HeadLimits } from '../head-scanner.ts';
import type { HeadArena } from '../head-arena.ts';
import { headerId } from '../header-ids.ts';
import { MessageHead, rowStride } from '../message-head.ts';
import { removeFalseAnnouncements } from '../announced-trailers.ts';
import { forbiddenInTrailers } from '../forbidden-in-trailers.ts';
import { copyBytes } from '../received-head.ts';
import type { FailureReason } from './failure-reason.ts';
import { fieldKind } from './field-kind.ts';
import { validFieldValue } from './field-value.ts';
import { RequestTarget } from './request-target.ts';
import { fieldOverhead, type TableField } from './table-field.ts';

/**
 * Gathers the fields of one header block, judges them (RFC 9113 sections 8.1 to 8.3), and makes a MessageHead of them: lines of HTTP/1.1 with rows, as
 * the HTTP/1.1 codec makes them, so that nothing behind a codec can tell the difference. Reused for every head of a thread, within one call.
 */
export class HeadAssembler {
  /** Lines that are part of the head, and behind them room for the next one. */
  length = 0;
  /** Why the message is malformed; null while it is not. The rest of the block still passes through the decoder. */
  failure: FailureReason | null = null;
  /** Beyond `HeadLimits`: `head-too-large` or `too-many-fields`. */
  excess: FailureReason | null = null;

  readonly #target = new RequestTarget();
  #kind: AssembledKind = 'request';
  #limits: HeadLimits = noLimits;
  #text: TextBuffer = allocateText(initialText);
  #rows = new Int32Array(initialRows * rowStride);
  #rowCount = 0;
  #neverIndexed = 0;
  #fields = 0;
  #bytes = 0;
  /** A field that is not a pseudo-header field was seen: none of those may follow. */
  #regularSeen = false;
  #status = 0;
  #contentLength = -1;
  #connection = 0;
  #expectContinue = false;
  #cookies: TextBuffer = noText;
  #cookiesLength = 0;

  begin(kind: AssembledKind, limits: HeadLimits): void {
    this.#kind = kind;
    this.#limits = limits;
    this.length = 0;
    this.failure = null;
    this.excess = null;
    this.#rowCount = 0;
    this.#neverIndexed = 0;
    this.#fields = 0;
    this.#bytes = 0;
    this.#regularSeen = false;
    this.#status = 0;
    this.#contentLength = -1;
    this.#connection = 0;
    this.#expectContinue = false;
    this.#cookiesLength = 0;
    if (kind === 'request') this.#target.reset();
  }

  /** Room for `bytes` more behind `length`, in the buffer answered. */
  reserve(bytes: number): TextBuffer {
    const needed = this.length + bytes;
    if (needed > this.#text.length) {
      const larger = allocateText(needed * 2);
      // The line behind `length` goes with it.
      this.#text.copy(larger);
      this.#text = larger;
    }
    return this.#text;
  }

  addIndexed(field: TableField): void {
    const { kind, line } = field;
    if (!this.#counts(kind, line.length)) return;
    if (kind === fieldKind.regular) {
      if (!field.valid) this.failure ??= 'field-value';
      this.#regularSeen = true;
      const text = this.reserve(line.length);
      const at = this.length;
      copyBytes(line, 0, line.length, text, at);
      this.#addRow(field.id, at, at + field.nameEnd, at + field.valueEnd, false);
      return;
    }
    if (field.pseudo && field.text !== null && this.#takeKnown(kind, field.text)) return;
    const at = this.length;
    copyBytes(line, 0, line.length, this.reserve(line.length), at);
    this.#special(kind, field.id, at + field.nameEnd, at + field.valueEnd, field);
  }

  /** The line behind `length`. `name` is from `classifyName`. `never`: not to be indexed by anybody. */
  addLine(name: number, nameEnd: number, valueEnd: number, never: boolean): void {
    const kind = name & 15;
    if (!this.#counts(kind, valueEnd + 2 - this.length)) return;
    if (kind === fieldKind.regular) {
      if (!validFieldValue(this.#text, nameEnd + 2, valueEnd)) this.failure ??= 'field-value';
      this.#regularSeen = true;
      this.#addRow(name >> 4, this.length, nameEnd, valueEnd, never);
    } else this.#special(kind, name >> 4, nameEnd, valueEnd, null);
  }

  /**
   * Whether the field is looked at: not once the message has failed, or is beyond the limits. `line` is its length with `: ` and CRLF. The number of
   * fields is what HTTP/1.1 would count: what stands in its start line is none.
   */
  #counts(kind: number, line: number): boolean {
    if (kind < fieldKind.unknownPseudo || kind === fieldKind.authority) this.#fields++;
    this.#bytes += line - 4 + fieldOverhead;
    if (this.#bytes > this.#limits.bytesMax) this.excess ??= 'head-too-large';
    else if (this.#fields > this.#limits.fieldsMax) this.excess ??= 'too-many-fields';
    return this.failure === null && this.excess === null;
  }

  #addRow(id: number, at: number, nameEnd: number, valueEnd: number, never: boolean): void {
    let row = this.#rowCount * rowStride;
    if (row + rowStride > this.#rows.length) {
      const larger = new Int32Array(this.#rows.length * 2);
      larger.set(this.#rows);
      this.#rows = larger;
    }
    const rows = this.#rows;
    rows[row++] = id;
    rows[row++] = at;
    rows[row++] = nameEnd;
    rows[row++] = nameEnd + 2;
    rows[row++] = valueEnd;
    rows[row] = valueEnd + 2;
    if (never) this.#neverIndexed |= 1 << Math.min(this.#rowCount, 31);
    this.#rowCount++;
    this.length = valueEnd + 2;
  }

  /** A pseudo-header field of the table whose value was looked at before. False: it has to be looked at. */
  #takeKnown(kind: number, text: string): boolean {
    if (this.#regularSeen || this.#kind === 'trailers') {
      this.failure ??= 'pseudo-header';
      return true;
    }
    if ((kind === fieldKind.status) !== (this.#kind === 'response')) return false;
    if (kind === fieldKind.status) {
      if (this.#status !== 0) this.failure ??= 'pseudo-header';
      this.#status = Number(text);
      return true;
    }
    if (kind === fieldKind.authority) return false;
    this.failure ??= this.#target.takeKnown(kind, text);
    return true;
  }

  /** The line behind `length` has a meaning of its own. Nothing of it stays unless it becomes a row. */
  #special(kind: number, id: number, nameEnd: number, valueEnd: number, field: TableField | null): void {
    if (kind >= fieldKind.unknownPseudo) {
      this.#pseudo(kind, nameEnd + 2, valueEnd, field);
      return;
    }
    this.#regularSeen = true;
    const text = this.#text;
    const valueAt = nameEnd + 2;
    if (!validFieldValue(text, valueAt, valueEnd)) {
      this.failure ??= 'field-value';
      return;
    }
    switch (kind) {
      case fieldKind.cookie:
        this.#addCookie(text, valueAt, valueEnd);
        break;
      case fieldKind.host:
        if (this.#kind === 'response') this.#addRow(id, this.length, nameEnd, valueEnd, false);
        else if (this.#kind === 'request') this.#takeHost(nameEnd, valueEnd);
        break;
      case fieldKind.contentLength:
        this.#takeLength(text, valueAt, valueEnd);
        break;
      case fieldKind.te:
        if (valueAt < valueEnd && !sameText(text, valueAt, valueEnd, trailersText)) this.failure ??= 'te-field';
        else this.#connection |= trailersAccepted;
        break;
      case fieldKind.expect:
        if (sameText(text, valueAt, valueEnd, continueText)) this.#expectContinue = true;
        else this.#connection |= unknownExpectation;
        break;
      default:
        this.failure ??= kind === fieldKind.connection ? 'connection-field' : 'field-name';
    }
  }

  #takeLength(text: TextBuffer, at: number, end: number): void {
    if (this.#kind === 'trailers') return;
    const length = parseLength(text, at, end);
    // Repeated, even with the same value: what follows could read it differently (security.md 1.2).
    if (length < 0 || this.#contentLength >= 0) this.failure ??= 'content-length';
    this.#contentLength = length;
  }

  /** Crumbs become one line again (RFC 9113 section 8.2.3). */
  #addCookie(text: TextBuffer, at: number, end: number): void {
    const needed = this.#cookiesLength + end - at + 2;
    if (needed > this.#cookies.length) {
      const larger = allocateText(Math.max(needed * 2, cookiesMin));
      this.#cookies.copy(larger, 0, 0, this.#cookiesLength);
      this.#cookies = larger;
    }
    const cookies = this.#cookies;
    let to = this.#cookiesLength;
    if (to > 0) {
      cookies[to++] = SEMICOLON;
      cookies[to++] = SP;
    }
    copyBytes(text, at, end, cookies, to);
    this.#cookiesLength = to + end - at;
  }

  #takeHost(nameEnd: number, valueEnd: number): void {
    const failure = this.#target.takeHost(this.#text, nameEnd + 2, valueEnd);
    if (failure !== null) this.failure ??= failure;
    else if (!this.#target.hostRow) {
      this.#target.hostRow = true;
      this.#addRow(hostId, this.length, nameEnd, valueEnd, false);
    }
  }

  #pseudo(kind: number, at: number, end: number, field: TableField | null): void {
    if (this.#regularSeen || this.#kind === 'trailers' || kind === fieldKind.unknownPseudo || (kind === fieldKind.status) !== (this.#kind === 'response')) {
      this.failure ??= 'pseudo-header';
    } else if (kind === fieldKind.status) {
      this.#takeStatus(at, end, field);
    } else {
      const failure = this.#target.take(kind, this.#text, at, end, field);
      if (failure !== null) this.failure ??= failure;
      else if (kind === fieldKind.path) this.length = end;
      else if (kind === fieldKind.authority) this.#addHostLine(at, end);
    }
  }

  #takeStatus(at: number, end: number, field: TableField | null): void {
    const status = end - at === 3 ? parseLength(this.#text, at, end) : -1;
    // 101 does not exist in HTTP/2 (RFC 9113 section 8.6). Above 599 is for the client to judge (RFC 9110 section 15).
    if (status < 100 || status === 101) this.failure ??= 'status';
    if (this.#status !== 0) this.failure ??= 'pseudo-header';
    this.#status = status;
    if (field !== null && this.failure === null) field.text = String(status);
  }

  /** `:authority` as the line that HTTP/1.1 has for it, so that everything behind the codec finds it where it looks. */
  #addHostLine(at: number, end: number): void {
    const start = this.length;
    const text = this.reserve(end - start + hostPrefix.length + 2);
    // The value moves back or forth within the same buffer.
    text.copyWithin(start + hostPrefix.length, at, end);
    text.set(hostPrefix, start);
    const valueEnd = start + hostPrefix.length + end - at;
    text[valueEnd] = CR;
    text[valueEnd + 1] = LF;
    this.#target.hostRow = true;
    this.#addRow(hostId, start, start + hostPrefix.length - 2, valueEnd, false);
  }

  /**
   * The head, in the arena; null where the message is malformed or beyond the limits. `end`: the block ends the stream. `bodiless`: a response to
   * HEAD, whose content-length speaks of a body that does not come.
   */
  finish(arena: HeadArena, end: boolean, bodiless: boolean): MessageHead | null {
    if (this.failure === null && this.excess === null && this.#kind === 'request') this.failure = this.#target.check();
    if (this.failure === null && this.#kind === 'response' && this.#status === 0) this.failure = 'pseudo-header';
    if (this.failure === null && this.#kind === 'response' && this.#status < 200 && end) this.failure = 'status';
    if (this.failure === null && this.#kind === 'trailers' && !end) this.failure = 'trailers';
    if (this.failure === null && end && this.#contentLength > 0 && !bodiless && this.#status !== 304) this.failure = 'body-length';
    if (this.failure !== null || this.excess !== null) return null;
    if (this.#cookiesLength > 0) this.#addCookieLine();
    const head = new MessageHead();
    const { length } = this;
    const text = arena.reserveText(length);
    const base = arena.textAt;
    copyBytes(this.#text, 0, length, text, base);
    const rows = arena.reserveRows(this.#rowCount * rowStride);
    this.#copyRows(rows, arena.rowsAt, base);
    head.adoptRows(text, rows, arena.rowsAt, this.#rowCount);
    head.byteLength = length;
    head.neverIndexed = this.#neverIndexed;
    head.connection = this.#connection;
    if (this.#kind === 'request') {
      this.#target.apply(head, base);
      head.expectContinue = this.#expectContinue;
      head.bodyLength = end ? 0 : this.#contentLength;
    } else if (this.#kind === 'response') this.#applyStatus(head, end, bodiless);
    else for (const id of forbiddenInTrailers) head.remove(id);
    removeFalseAnnouncements(head);
    return head;
  }

  #applyStatus(head: MessageHead, end: boolean, bodiless: boolean): void {
    head.status = this.#status;
    head.bodyLength = end && !bodiless && this.#status !== 304 ? 0 : this.#contentLength;
  }

  #addCookieLine(): void {
    const length = this.#cookiesLength;
    const text = this.reserve(cookiePrefix.length + length + 2);
    const nameEnd = this.length + cookiePrefix.length - 2;
    text.set(cookiePrefix, this.length);
    copyBytes(this.#cookies, 0, length, text, nameEnd + 2);
    const valueEnd = nameEnd + 2 + length;
    text[valueEnd] = CR;
    text[valueEnd + 1] = LF;
    this.#addRow(cookieId, this.length, nameEnd, valueEnd, false);
  }

  #copyRows(target: Int32Array, at: number, base: number): void {
    const rows = this.#rows;
    const count = this.#rowCount * rowStride;
    for (let i = 0, to = at; i < count; i += rowStride, to += rowStride) {
      target[to] = rows[i] as number;
      target[to + 1] = (rows[i + 1] as number) + base;
      target[to + 2] = (rows[i + 2] as number) + base;
      target[to + 3] = (rows[i + 3] as number) + base;
      target[to + 4] = (rows[i + 4] as number) + base;
      target[to + 5] = (rows[i + 5] as number) + base;
    }
  }
}

export type AssembledKind = 'request' | 'response' | 'trailers';

const initialText = 8 * 1024;
const initialRows = 64;
const cookiesMin = 512;
const noLimits: HeadLimits = { bytesMax: 0, fieldsMax: 0 };
const noText = allocateText(0);
const CR = 13;
const LF = 10;
const SP = 32;
const SEMICOLON = 59;
const hostId = headerId('host');
const cookieId = headerId('cookie');
const hostPrefix = Buffer.from('host: ');
const cookiePrefix = Buffer.from('cookie: ');
const trailersText = Buffer.from('trailers');
