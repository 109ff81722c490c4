import { allocateText, type TextBuffer } from '../byte-text.ts';
import { trailersAccepted } from '../head-scanner.ts';
import { headSizeMax, writeNumber } from '../head-writer.ts';
import type { Field } from '../head.ts';
import { headerId, headerName, headerPrefix, makeField, tokenLower } from '../header-ids.ts';
import { TextField, rowRemoved, rowStride, type MessageHead } from '../message-head.ts';
import { EncoderTable, type EncoderEntry } from './encoder-table.ts';
import { sameBytes } from './field-kind.ts';
import { writeInteger, writePlain, writeShortest } from './hpack-strings.ts';
import { treatment, treatmentOf, treatmentOfName } from './name-treatment.ts';
import { staticCount, staticFields, staticIndex } from './static-table.ts';

/**
 * Heads as header blocks (RFC 7541). What comes a second time on a connection is put into the dynamic table, secrets never; fields
 * that configuration prepared are found there by identity. Hop-by-hop fields do not occur in heads; `te` and `content-length` are written from what the head says.
 *
 * Each method answers the end of the block, or -1 where the head cannot be written: then the table is as it was, and nothing may be sent. The caller
 * provides room for `blockSizeMax` bytes.
 */
export class HpackEncoder {
  readonly #table: EncoderTable;
  readonly #tableBytesMax: number;
  #tableBytes: number;
  /** The peer's table has to be told of a new size; the smallest one in between too (RFC 7541 section 4.2). */
  #resized = false;
  #smallest: number;
  /** Hashes that occurred once: what comes again is worth remembering. */
  #seen: Int32Array = noHashes;
  /** What was written last is an entry of the table, at its `lastIndex`. */
  #inTable = false;

  constructor(tableBytesMax: number) {
    this.#tableBytesMax = tableBytesMax;
    this.#tableBytes = Math.min(tableBytesMax, defaultTableBytes);
    this.#smallest = this.#tableBytes;
    this.#table = new EncoderTable(this.#tableBytes);
    this.#resized = this.#tableBytes !== defaultTableBytes;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setPeerLimit(bytes: number): void {
    const size = Math.min(bytes, this.#tableBytesMax);
    if (size === this.#tableBytes) return;
    this.#smallest = this.#resized ? Math.min(this.#smallest, size) : size;
    this.#tableBytes = size;
    this.#resized = true;
    this.#table.resize(size);
  }

  get tableBytes(): number {
    return this.#table.bytes;
  }

  encodeRequest(head: MessageHead, out: TextBuffer, from: number): number {
    const { protocol } = head;
    const method = protocol === '' ? head.method : 'CONNECT';
    const connect = method === 'CONNECT' && protocol === '';
    const path = connect ? '' : head.target;
    if (!isToken(method) || !isVisible(head.authority) || (!connect && (path === '' || !isVisible(path)))) return -1;
    if (protocol !== '' && !isToken(protocol)) return -1;
    let at = this.#begin(out, from);
    if (method === 'GET') out[at++] = 0x80 | staticIndex.get;
    else if (method === 'POST') out[at++] = 0x80 | staticIndex.post;
    else at = this.#writePseudo(methodId, staticIndex.method, method, out, at);
    if (!connect) {
      out[at++] = 0x80 | (head.scheme === 'https' ? staticIndex.https : staticIndex.http);
      if (path === '/') out[at++] = 0x80 | staticIndex.rootPath;
      else at = this.#writePath(path, head.hasQuery, out, at);
    }
    if (head.authority !== '') at = this.#writePseudo(authorityId, staticIndex.authority, head.authority, out, at);
    if (protocol !== '') at = this.#writePseudo(protocolId, 0, protocol, out, at);
    at = this.#writeFields(head, true, out, at);
    if ((head.connection & trailersAccepted) !== 0) at = this.#writePrepared(teField, out, at);
    return head.bodyLength > 0 ? writeLength(head.bodyLength, out, at) : at;
  }

  /** `end`: the stream ends with it. */
  encodeResponse(head: MessageHead, end: boolean, out: TextBuffer, from: number): number {
    const { status, bodyLength } = head;
    if (status < 100 || status > 999 || status === 101) return -1;
    let at = this.#begin(out, from);
    const known = staticStatus[status] as number;
    if (known > 0) out[at++] = 0x80 | known;
    else at = this.#writePseudo(statusId, staticIndex.status, statusTexts[status] as string, out, at);
    at = this.#writeFields(head, false, out, at);
    // None in 1xx and 204 (RFC 9110 section 8.6); where the stream ends at once, an empty body needs none.
    const withLength = bodyLength >= 0 && status >= 200 && status !== 204 && !(end && bodyLength === 0);
    return withLength ? writeLength(bodyLength, out, at) : at;
  }

  encodeTrailers(head: MessageHead, out: TextBuffer, from: number): number {
    return this.#writeFields(head, false, out, this.#begin(out, from));
  }

  /** Announces a changed table size (RFC 7541 section 6.3). */
  #begin(out: TextBuffer, from: number): number {
    if (!this.#resized) return from;
    this.#resized = false;
    let at = from;
    if (this.#smallest < this.#tableBytes) at = writeInteger(this.#smallest, 0x20, 0x1f, out, at);
    return writeInteger(this.#tableBytes, 0x20, 0x1f, out, at);
  }

  #writePseudo(id: number, nameIndex: number, text: string, out: TextBuffer, at: number): number {
    const bytes = scratchText(text, false);
    return this.#write(id, nameIndex, noName, bytes, 0, scratchLength, treatment.usual, out, at);
  }

  /** A path with a query is hardly ever the same twice, and may have secrets in it. */
  #writePath(path: string, hasQuery: boolean, out: TextBuffer, at: number): number {
    const bytes = scratchText(path, false);
    const how = hasQuery ? treatment.volatile : treatment.usual;
    return this.#write(pathId, staticIndex.path, noName, bytes, 0, scratchLength, how, out, at);
  }

  #writeFields(head: MessageHead, request: boolean, out: TextBuffer, from: number): number {
    const { rows, rowCount, bytes, added, neverIndexed } = head;
    let at = from;
    for (let i = 0, row = head.rowsAt; i < rowCount; i++, row += rowStride) {
      const id = rows[row] as number;
      if (id === rowRemoved || (id === hostId && request)) continue;
      const never = neverIndexed !== 0 && (neverIndexed & (1 << Math.min(i, 31))) !== 0;
      at = id === 0 ? this.#writeUnknown(rows, row, bytes, never, out, at)
        : this.#write(id, staticNameOf(id), noName, bytes, rows[row + 3] as number, rows[row + 4] as number, never ? treatment.secret : treatmentOf(id), out, at);
    }
    for (let i = 0; i < added.length; i++) at = this.#writeField(added[i] as Field, out, at);
    return at;
  }

  /** A name that nobody mentions: it is written out, in lower case. */
  #writeUnknown(rows: Int32Array, row: number, bytes: TextBuffer, never: boolean, out: TextBuffer, at: number): number {
    const nameAt = rows[row + 1] as number;
    const nameEnd = rows[row + 2] as number;
    const how = never ? treatment.secret : treatmentOfName(bytes, nameAt, nameEnd);
    const name = lowerName(bytes, nameAt, nameEnd);
    return this.#write(0, 0, name, bytes, rows[row + 3] as number, rows[row + 4] as number, how, out, at);
  }

  #writeField(field: Field, out: TextBuffer, at: number): number {
    if (!(field instanceof TextField)) return this.#writePrepared(field, out, at);
    const bytes = scratchText(field.value, field.wide);
    return this.#write(field.id, staticNameOf(field.id), noName, bytes, 0, scratchLength, treatmentOf(field.id), out, at);
  }

  #writePrepared(field: Field, out: TextBuffer, at: number): number {
    const { id, line, name } = field;
    const index = this.#table.fieldIndex(field);
    if (index > 0) return writeInteger(index, 0x80, 0x7f, out, at);
    this.#inTable = false;
    const end = this.#writeLine(id, name, line, out, at);
    if (this.#inTable) this.#table.remember(field);
    return end;
  }

  #writeLine(id: number, name: string, line: Uint8Array, out: TextBuffer, at: number): number {
    if (id === 0) return this.#write(0, 0, line.subarray(0, name.length), line, name.length + 2, line.length - 2, treatmentOfName(line, 0, name.length), out, at);
    return this.#write(id, staticNameOf(id), noName, line, name.length + 2, line.length - 2, treatmentOf(id), out, at);
  }

  #write(
    id: number, staticName: number, name: Uint8Array, bytes: Uint8Array, valueAt: number, valueEnd: number, how: number, out: TextBuffer, from: number,
  ): number {
    if (how !== treatment.usual || valueEnd - valueAt > indexedValueMax) {
      return this.#writeLiteral(how === treatment.secret ? 0x10 : 0, 0x0f, id, staticName, name, bytes, valueAt, valueEnd, out, from);
    }
    const hash = hashField(id, name, bytes, valueAt, valueEnd);
    const known = this.#table.find(hash);
    if (known !== null && sameField(known, id, name, bytes, valueAt, valueEnd)) {
      this.#inTable = true;
      return writeInteger(this.#table.lastIndex, 0x80, 0x7f, out, from);
    }
    const nameBytes = id > 0 ? headerPrefix(id).length - 2 : id < 0 ? (pseudoNames[-id] as Uint8Array).length : name.length;
    if (!this.#comesAgain(hash) || !this.#table.fits(nameBytes + valueEnd - valueAt)) {
      return this.#writeLiteral(0, 0x0f, id, staticName, name, bytes, valueAt, valueEnd, out, from);
    }
    const at = this.#writeLiteral(indexing, 0x3f, id, staticName, name, bytes, valueAt, valueEnd, out, from);
    this.#table.add({ hash, id, name: nameOf(id, name), value: copyOf(bytes, valueAt, valueEnd), field: null });
    this.#inTable = true;
    return at;
  }

  /** Seen lately, so that it is worth a place in the table: a value that is new in each message would only push out others. */
  #comesAgain(hash: number): boolean {
    if (this.#seen === noHashes) this.#seen = new Int32Array(seenMask + 1);
    if (this.#seen[hash & seenMask] === hash) return true;
    this.#seen[hash & seenMask] = hash;
    return false;
  }

  /**
   * Huffman code only for what is put into the table, once for a connection. In every message it would save a quarter of the bytes of secrets and ids, and
   * cost both sides more than everything else about a head.
   */
  #writeLiteral(
    first: number, mask: number, id: number, staticName: number, name: Uint8Array, bytes: Uint8Array, valueAt: number, valueEnd: number, out: TextBuffer, from: number,
  ): number {
    const index = staticName !== 0 ? staticName : id === 0 ? 0 : this.#table.nameIndex(id);
    let at = writeInteger(index, first, mask, out, from);
    if (index === 0) {
      const text = nameOf(id, name);
      at = first === indexing ? writeShortest(text, 0, text.length, out, at) : writePlain(text, 0, text.length, out, at);
    }
    return first === indexing ? writeShortest(bytes, valueAt, valueEnd, out, at) : writePlain(bytes, valueAt, valueEnd, out, at);
  }
}

/** Upper bound of what an encoder writes for this head. */
export function blockSizeMax(head: MessageHead): number {
  return headSizeMax(head) + head.target.length + (head.rowCount + head.added.length) * literalOverhead + 128;
}

/** First byte, and two lengths of up to five bytes. */
const literalOverhead = 11;
/** First bits of a literal that goes into the table (RFC 7541 section 6.2.1). */
const indexing = 0x40;
const defaultTableBytes = 4096;
const indexedValueMax = 512;
const seenMask = 63;

function sameField(entry: EncoderEntry, id: number, name: Uint8Array, bytes: Uint8Array, valueAt: number, valueEnd: number): boolean {
  if (entry.id !== id || entry.value.length !== valueEnd - valueAt || !sameBytes(entry.value, bytes, valueAt)) return false;
  return id !== 0 || (entry.name.length === name.length && sameBytes(entry.name, name, 0));
}

function hashField(id: number, name: Uint8Array, bytes: Uint8Array, at: number, end: number): number {
  let hash = id ^ 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ (name[i] as number), 0x01000193);
  for (let i = at; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash ^ (hash >>> 15);
}

/** Name of an entry: kept with it, so it must be our own. */
function nameOf(id: number, name: Uint8Array): Uint8Array {
  if (id === 0) return copyOf(name, 0, name.length);
  return id < 0 ? (pseudoNames[-id] as Uint8Array) : headerNameBytes(id);
}

/** `slice` of a Buffer would share its memory. */
function copyOf(bytes: Uint8Array, at: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - at);
  for (let i = at; i < end; i++) copy[i - at] = bytes[i] as number;
  return copy;
}

function headerNameBytes(id: number): Uint8Array {
  return (namesById[id] ??= Buffer.from(headerName(id), 'latin1'));
}

function writeLength(length: number, out: TextBuffer, from: number): number {
  const digits = writeNumber(length, digitBytes, 0);
  return writePlain(digitBytes, 0, digits, out, writeInteger(staticIndex.contentLength, 0, 0x0f, out, from));
}

/** The text as bytes in a buffer that holds until the next call; its length is `scratchLength`. */
function scratchText(text: string, wide: boolean): TextBuffer {
  const needed = wide ? text.length * 3 : text.length;
  if (needed > scratch.length) scratch = allocateText(needed * 2);
  scratchLength = wide ? scratch.write(text, 0, 'utf8') : scratch.latin1Write(text, 0, text.length);
  return scratch;
}

function lowerName(bytes: Uint8Array, at: number, end: number): Uint8Array {
  const name = Buffer.allocUnsafe(end - at);
  for (let i = at; i < end; i++) name[i - at] = tokenLower[bytes[i] as number] as number;
  return name;
}

function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff || tokenLower[code] === 0) return false;
  }
  return text.length > 0;
}

function isVisible(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 32 || code >= 127) return false;
  }
  return true;
}

/** Static index of a name; 0 where it has none. */
function staticNameOf(id: number): number {
  return id < staticNames.length ? (staticNames[id] as number) : 0;
}

const hostId = headerId('host');
const teField = makeField('te', 'trailers');
const methodId = -1;
const pathId = -2;
const authorityId = -3;
const statusId = -4;
const protocolId = -5;
const pseudoNames: readonly Uint8Array[] = ['', ':method', ':path', ':authority', ':status', ':protocol'].map((name) => Buffer.from(name));
const noName = new Uint8Array(0);
const noHashes = new Int32Array(0);
const digitBytes = allocateText(20);
const namesById: (Uint8Array | undefined)[] = [];
let scratch = allocateText(1024);
let scratchLength = 0;
const staticNames = makeStaticNames();
const staticStatus = makeStaticStatus();
const statusTexts: readonly string[] = Array.from({ length: 1000 }, (_, status) => String(status));

function makeStaticNames(): Uint8Array {
  const ids = new Map<string, number>();
  for (let id = 1; headerName(id) !== ''; id++) ids.set(headerName(id), id);
  const table = new Uint8Array(ids.size + 1);
  for (let index = staticCount; index > 0; index--) {
    const id = ids.get((staticFields[index - 1] as readonly [string, string])[0]);
    if (id !== undefined) table[id] = index;
  }
  return table;
}

function makeStaticStatus(): Uint8Array {
  const table = new Uint8Array(1000);
  staticFields.forEach(([name, value], i) => {
    if (name === ':status') table[Number(value)] = i + 1;
  });
  return table;
}
