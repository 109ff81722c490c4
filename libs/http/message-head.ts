import { allocateText, asText, type TextBuffer } from './byte-text.ts';
import type { Field, Head, HeaderId } from './head.ts';
import type { HeaderAliases } from './header-aliases.ts';
import { headerName, lookUpHeaderId } from './header-ids.ts';

/**
 * The one implementation of Head. What was received stays where it was copied to, as rows over the arena; what filters
 * add are Fields beside them. Nothing becomes a string until somebody asks for it.
 *
 * A row is `rowStride` numbers in `rows`, from `rowsAt`: id (or `rowRemoved`), start of the line, end of the name, start and
 * end of the value, end of the line (behind CRLF). Offsets are into `bytes`. Consecutive rows need not be consecutive lines:
 * framing and hop-by-hop fields never become rows.
 */
export class MessageHead implements Head {
  method = '';
  scheme = 'http';
  authority = '';
  path = '';
  /** `/a?` has a query, an empty one. */
  hasQuery = false;
  status = 0;
  bodyLength = 0;
  protocol = '';
  /** HTTP/1.x: the minor version received. Other codecs say 1. */
  minorVersion = 1;
  /** `setAuthority` was called: the `host` line no longer holds. */
  authorityChanged = false;
  /** The start line in `bytes` (HTTP/1.1, origin form) says what the head says; CRLF included. */
  startIntact = false;
  startAt = 0;
  startEnd = 0;
  /** Length of what was received; the serializer's estimate. */
  byteLength = 0;
  /** The path has no byte that could make it spelled other than canonically. */
  pathPlain = true;
  /** Bits of `connection` in head-scanner.ts: what the received head said about its connection. */
  connection = 0;
  /** Transfer-Encoding: chunked was received. */
  chunked = false;
  expectContinue = false;
  /** `timeout` of Keep-Alive in seconds; -1 where nothing was said. */
  keepAliveSeconds = -1;
  /** HTTP/2: bit i is set where the sender wants row i never to be indexed (RFC 7541 section 7.1.3); bit 31 stands for all rows from 31 on. */
  neverIndexed = 0;

  bytes: TextBuffer = noBytes;
  rows: Int32Array = noRows;
  rowsAt = 0;
  rowCount = 0;
  added: Field[] = noFields;
  /** Rows and added are also another head's: copy before writing. */
  #shared = false;
  /** Bit set where a field with this id below 128 may be there. */
  #mask0 = 0;
  #mask1 = 0;
  #mask2 = 0;
  #mask3 = 0;
  #query: string | null = '';
  #queryAt = 0;
  #queryEnd = 0;

  get query(): string {
    return (this.#query ??= this.bytes.latin1Slice(this.#queryAt, this.#queryEnd));
  }

  /** The query as a span of `bytes`. */
  adoptQuery(at: number, end: number): void {
    this.hasQuery = true;
    this.#query = null;
    this.#queryAt = at;
    this.#queryEnd = end;
  }

  get target(): string {
    return this.hasQuery ? `${this.path}?${this.query}` : this.path;
  }

  /** Takes rows over. The region of `rows` belongs to this head alone from now on. */
  adoptRows(bytes: TextBuffer, rows: Int32Array, at: number, count: number): void {
    this.bytes = bytes;
    this.rows = rows;
    this.rowsAt = at;
    this.rowCount = count;
    for (let i = 0, row = at; i < count; i++, row += rowStride) this.#mark(rows[row] as number);
  }

  has(id: HeaderId): boolean {
    if (!this.#mayHave(id)) return false;
    return this.#firstRow(id) >= 0 || this.#addedIndex(id, 0) >= 0;
  }

  count(id: HeaderId): number {
    if (!this.#mayHave(id)) return 0;
    let count = 0;
    const { rows, added } = this;
    for (let i = 0, row = this.rowsAt; i < this.rowCount; i++, row += rowStride) if (rows[row] === id) count++;
    for (let i = 0; i < added.length; i++) if ((added[i] as Field).id === id) count++;
    return count;
  }

  valueAt(id: HeaderId, nth: number): string {
    if (!this.#mayHave(id)) return '';
    let left = nth;
    const { rows, added } = this;
    for (let i = 0, row = this.rowsAt; i < this.rowCount; i++, row += rowStride) {
      if (rows[row] === id && left-- === 0) return this.bytes.latin1Slice(rows[row + 3] as number, rows[row + 4] as number);
    }
    for (let i = 0; i < added.length; i++) {
      const field = added[i] as Field;
      if (field.id === id && left-- === 0) return field.value;
    }
    return '';
  }

  put(field: Field): void {
    if (this.#shared) this.#unshare();
    if (this.added === noFields) this.added = [field];
    else this.added.push(field);
    this.#mark(field.id);
  }

  set(id: HeaderId, value: string): void {
    const field = new TextField(id, value, checkValue(id, value));
    this.remove(id);
    this.put(field);
  }

  append(id: HeaderId, value: string): void {
    this.put(new TextField(id, value, checkValue(id, value)));
  }

  putText(id: HeaderId, value: string): void {
    this.put(new TextField(id, value, false));
  }

  remove(id: HeaderId): void {
    if (!this.#mayHave(id)) return;
    if (this.#shared) this.#unshare();
    const { rows } = this;
    for (let i = 0, row = this.rowsAt; i < this.rowCount; i++, row += rowStride) if (rows[row] === id) rows[row] = rowRemoved;
    for (let at = this.#addedIndex(id, 0); at >= 0; at = this.#addedIndex(id, at)) this.added.splice(at, 1);
    this.#unmark(id);
  }

  removeAliases(aliases: HeaderAliases): void {
    for (let i = 0, row = this.rowsAt; i < this.rowCount; i++, row += rowStride) {
      const id = this.rows[row] as number;
      if (id === rowRemoved || !aliases.matches(id, this.bytes, this.rows[row + 1] as number, this.rows[row + 2] as number)) continue;
      if (this.#shared) {
        this.#unshare();
        row = i * rowStride;
      }
      this.rows[row] = rowRemoved;
    }
    for (let i = this.added.length - 1; i >= 0; i--) {
      if (!aliases.matchesField(this.added[i] as Field)) continue;
      if (this.#shared) this.#unshare();
      this.added.splice(i, 1);
    }
  }

  /** Removes the fields whose lower-case name satisfies the test, known or not. Not for the hot path. */
  removeWhere(test: (name: string) => boolean): void {
    if (this.#shared) this.#unshare();
    for (let i = 0, row = this.rowsAt; i < this.rowCount; i++, row += rowStride) {
      if (this.rows[row] !== rowRemoved && test(this.#rowName(row))) this.rows[row] = rowRemoved;
    }
    if (this.added !== noFields) this.added = this.added.filter((field) => !test(field.name));
  }

  forEach(visit: (name: string, value: string) => void): void {
    const { rows } = this;
    for (let i = 0, row = this.rowsAt; i < this.rowCount; i++, row += rowStride) {
      if (rows[row] === rowRemoved || (rows[row] === hostId && this.authorityChanged)) continue;
      visit(this.#rowName(row), this.bytes.latin1Slice(rows[row + 3] as number, rows[row + 4] as number));
    }
    if (this.authorityChanged) visit('host', this.authority);
    for (const field of this.added) visit(field.name, field.value);
  }

  setTarget(path: string, query: string): void {
    this.path = path;
    this.#query = query;
    this.hasQuery = query !== '';
    this.startIntact = false;
  }

  /** Replaces the path alone. */
  setPath(path: string): void {
    this.path = path;
    this.startIntact = false;
  }

  setStatus(status: number): void {
    this.status = status;
    this.startIntact = false;
  }

  setAuthority(authority: string): void {
    this.authority = authority;
    this.authorityChanged = true;
    // The new line stands behind the start line: both are written.
    this.startIntact = false;
  }

  setMethod(method: string): void {
    this.method = method;
    this.startIntact = false;
  }

  fork(): MessageHead {
    const head = new MessageHead();
    head.method = this.method;
    head.scheme = this.scheme;
    head.authority = this.authority;
    head.path = this.path;
    head.#query = this.#query;
    head.#queryAt = this.#queryAt;
    head.#queryEnd = this.#queryEnd;
    head.hasQuery = this.hasQuery;
    head.status = this.status;
    head.bodyLength = this.bodyLength;
    head.protocol = this.protocol;
    head.minorVersion = this.minorVersion;
    head.authorityChanged = this.authorityChanged;
    head.startIntact = this.startIntact;
    head.startAt = this.startAt;
    head.startEnd = this.startEnd;
    head.byteLength = this.byteLength;
    head.pathPlain = this.pathPlain;
    head.connection = this.connection;
    head.chunked = this.chunked;
    head.expectContinue = this.expectContinue;
    head.keepAliveSeconds = this.keepAliveSeconds;
    head.neverIndexed = this.neverIndexed;
    head.bytes = this.bytes;
    head.rows = this.rows;
    head.rowsAt = this.rowsAt;
    head.rowCount = this.rowCount;
    head.added = this.added;
    head.#mask0 = this.#mask0;
    head.#mask1 = this.#mask1;
    head.#mask2 = this.#mask2;
    head.#mask3 = this.#mask3;
    head.#shared = true;
    this.#shared = true;
    return head;
  }

  /** Keeps its own bytes in place of a part of the arena's slabs: for exchanges that may live for days. */
  detach(): void {
    const { rowsAt, rowCount } = this;
    const rows = this.rows.slice(rowsAt, rowsAt + rowCount * rowStride);
    const hasStart = this.startEnd > this.startAt;
    const hasQuery = this.#query === null;
    let from = Math.min(hasStart ? this.startAt : Infinity, hasQuery ? this.#queryAt : Infinity);
    let to = Math.max(hasStart ? this.startEnd : 0, hasQuery ? this.#queryEnd : 0);
    for (let row = 0; row < rows.length; row += rowStride) {
      from = Math.min(from, rows[row + 1] as number);
      to = Math.max(to, rows[row + 5] as number);
    }
    if (from > to) from = to;
    const own = allocateText(to - from);
    own.set(this.bytes.subarray(from, to));
    for (let i = 0; i < rows.length; i++) if (i % rowStride !== 0) rows[i] = (rows[i] as number) - from;
    this.bytes = own;
    this.rows = rows;
    this.rowsAt = 0;
    if (hasStart) {
      this.startAt -= from;
      this.startEnd -= from;
    }
    if (hasQuery) {
      this.#queryAt -= from;
      this.#queryEnd -= from;
    }
  }

  #unshare(): void {
    this.rows = this.rows.slice(this.rowsAt, this.rowsAt + this.rowCount * rowStride);
    this.rowsAt = 0;
    if (this.added !== noFields) this.added = [...this.added];
    this.#shared = false;
  }

  #firstRow(id: HeaderId): number {
    const { rows } = this;
    for (let i = 0, row = this.rowsAt; i < this.rowCount; i++, row += rowStride) if (rows[row] === id) return row;
    return -1;
  }

  #addedIndex(id: HeaderId, from: number): number {
    const { added } = this;
    for (let i = from; i < added.length; i++) if ((added[i] as Field).id === id) return i;
    return -1;
  }

  #rowName(row: number): string {
    const id = this.rows[row] as number;
    return id > 0 ? headerName(id) : this.bytes.latin1Slice(this.rows[row + 1] as number, this.rows[row + 2] as number).toLowerCase();
  }

  #mayHave(id: HeaderId): boolean {
    if (id < 32) return (this.#mask0 & (1 << id)) !== 0;
    if (id < 64) return (this.#mask1 & (1 << (id & 31))) !== 0;
    if (id < 96) return (this.#mask2 & (1 << (id & 31))) !== 0;
    if (id < 127) return (this.#mask3 & (1 << (id & 31))) !== 0;
    return (this.#mask3 & highIds) !== 0;
  }

  #mark(id: HeaderId): void {
    if (id < 0) return;
    if (id < 32) this.#mask0 |= 1 << id;
    else if (id < 64) this.#mask1 |= 1 << (id & 31);
    else if (id < 96) this.#mask2 |= 1 << (id & 31);
    else if (id < 127) this.#mask3 |= 1 << (id & 31);
    else this.#mask3 |= highIds;
  }

  #unmark(id: HeaderId): void {
    if (id < 32) this.#mask0 &= ~(1 << id);
    else if (id < 64) this.#mask1 &= ~(1 << (id & 31));
    else if (id < 96) this.#mask2 &= ~(1 << (id & 31));
    else if (id < 127) this.#mask3 &= ~(1 << (id & 31));
  }
}

export const rowStride = 6;
export const rowRemoved = -1;
/** `Field.line` of a field made for one request: the serializer writes name and value itself. */
export const noLine = new Uint8Array(0);

/** Shared by all ids from 127 on: bit 31 of the last word. */
const highIds = 1 << 31;
const noBytes = asText(Buffer.alloc(0));
const noRows = new Int32Array(0);
const noFields: Field[] = [];
Object.freeze(noFields);
const hostId = lookUpHeaderId('host');

/** A field made for one request; checked when it was made. */
export class TextField implements Field {
  readonly id: HeaderId;
  readonly value: string;
  /** Has characters above U+00FF: written as UTF-8. */
  readonly wide: boolean;
  readonly line: Uint8Array = noLine;

  constructor(id: HeaderId, value: string, wide: boolean) {
    this.id = id;
    this.value = value;
    this.wide = wide;
  }

  get name(): string {
    return headerName(this.id);
  }
}

/** Whether the value has characters above U+00FF. */
function checkValue(id: HeaderId, value: string): boolean {
  if (headerName(id) === '') throw new RangeError(`no header name has id ${id}`);
  let wide = false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0xff) wide = true;
    else if ((code < 32 && code !== 9) || code === 127) throw new RangeError(`header ${headerName(id)}: control characters in the value`);
  }
  return wide;
}
