import { allocateText, type TextBuffer } from '../byte-text.ts';
import { copyBytes } from '../received-head.ts';
import { DynamicTable } from './dynamic-table.ts';
import { classifyName } from './field-kind.ts';
import type { HeadAssembler } from './head-assembler.ts';
import { decodeHuffman, decodedSizeMax } from './huffman-decoder.ts';
import { LiteralCache } from './literal-cache.ts';
import { staticCount } from './static-table.ts';
import { TableField, staticTable } from './table-field.ts';

/**
 * Decodes header blocks (RFC 7541) straight into a HeadAssembler, as lines of HTTP/1.1. Strict: whatever the RFC calls a decoding error ends
 * the connection. Whatever is merely wrong with a message is the assembler's to judge, so that the table stays in step with the peer's.
 */
export class HpackDecoder {
  readonly #table = new DynamicTable(defaultTableBytes);
  /** What the peer may set the table to. */
  #limit = defaultTableBytes;
  /** The peer has agreed to a smaller table: its next block must begin with that (RFC 7541 section 4.2). */
  #updateDue = false;
  #tableBytes = defaultTableBytes;
  /** Position behind the integer or string that was read last. */
  #at = 0;

  /** The peer has acknowledged SETTINGS_HEADER_TABLE_SIZE. */
  setLimit(bytes: number): void {
    this.#limit = bytes;
    if (bytes < this.#tableBytes) this.#updateDue = true;
  }

  /** Bytes in the dynamic table, as RFC 7541 section 4.1 counts them. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** Decodes a whole block. False: the connection cannot go on (COMPRESSION_ERROR). */
  decode(bytes: TextBuffer, from: number, end: number, head: HeadAssembler): boolean {
    let at = from;
    let fields = false;
    while (at < end) {
      const first = bytes[at] as number;
      if (first >= 0x80) {
        if (this.#updateDue) return false;
        const index = first < 0xff ? first & 0x7f : this.#integer(bytes, at, end, 0x7f);
        at = first < 0xff ? at + 1 : this.#at;
        const field = this.#field(index);
        if (field === null) return false;
        head.addIndexed(field);
        fields = true;
      } else if ((first & 0xe0) === 0x20) {
        if (fields || !this.#resize(this.#integer(bytes, at, end, 0x1f))) return false;
        at = this.#at;
      } else {
        if (this.#updateDue) return false;
        at = this.#literal(bytes, at, end, head);
        if (at < 0) return false;
        fields = true;
      }
    }
    return true;
  }

  #field(index: number): TableField | null {
    if (index <= staticCount) return index > 0 ? (staticTable[index] as TableField) : null;
    return this.#table.at(index - staticCount - 1);
  }

  #resize(bytes: number): boolean {
    if (bytes < 0 || bytes > this.#limit) return false;
    this.#updateDue = false;
    this.#tableBytes = bytes;
    this.#table.resize(bytes);
    return true;
  }

  /** Literals (RFC 7541 section 6.2). Position behind it, -1 where it is not valid. */
  #literal(bytes: TextBuffer, from: number, end: number, head: HeadAssembler): number {
    const first = bytes[from] as number;
    const indexed = first >= 0x40;
    const index = this.#integer(bytes, from, end, indexed ? 0x3f : 0x0f);
    if (index < 0) return -1;
    const known = index === 0 ? null : this.#field(index);
    if (known === null && index > 0) return -1;
    const cached = indexed && index > 0 ? this.#cachedEnd(bytes, from, end, index) : 0;
    if (cached > 0) {
      const field = literals.find(bytes, from, cached);
      if (field !== null) {
        this.#table.add(field);
        head.addIndexed(field);
        return cached;
      }
    }
    // Both strings are at most as long as what is left of the block.
    const text = head.reserve(decodedSizeMax(end - this.#at) + (known === null ? 0 : known.nameEnd) + 4);
    const start = head.length;
    const nameEnd = known === null ? this.#string(bytes, this.#at, end, text, start) : copyName(known, text, start);
    if (nameEnd < 0) return -1;
    text[nameEnd] = COLON;
    text[nameEnd + 1] = SP;
    const valueEnd = this.#string(bytes, this.#at, end, text, nameEnd + 2);
    if (valueEnd < 0) return -1;
    text[valueEnd] = CR;
    text[valueEnd + 1] = LF;
    if (indexed) {
      const field = new TableField(copyLine(text, start, valueEnd + 2), nameEnd - start);
      this.#table.add(field);
      if (cached > 0) literals.put(bytes, from, cached, field);
      head.addLine(field.id * 16 + field.kind, nameEnd, valueEnd, false);
    } else {
      const name = known === null ? classifyName(text, start, nameEnd) : known.id * 16 + known.kind;
      head.addLine(name, nameEnd, valueEnd, (first & 0x10) !== 0);
    }
    return this.#at;
  }

  /** End of the literal at `from` whose value begins at `#at`, where the cache takes it; else 0. Leaves `#at` as it was. */
  #cachedEnd(bytes: TextBuffer, from: number, end: number, nameIndex: number): number {
    const valueAt = this.#at;
    if (valueAt >= end) return 0;
    const length = (bytes[valueAt] as number) & 0x7f;
    const valueEnd = valueAt + 1 + length;
    return length < 0x7f && valueEnd <= end && literals.takes(nameIndex, valueEnd - from) ? valueEnd : 0;
  }

  /** A string (RFC 7541 section 5.2) into `text` from `to`. Its end there, -1 where it is not valid. */
  #string(bytes: TextBuffer, at: number, end: number, text: TextBuffer, to: number): number {
    if (at >= end) return -1;
    const huffman = (bytes[at] as number) >= 0x80;
    const length = this.#integer(bytes, at, end, 0x7f);
    const start = this.#at;
    if (length < 0 || length > end - start) return -1;
    this.#at = start + length;
    if (huffman) return decodeHuffman(bytes, start, start + length, text, to);
    copyBytes(bytes, start, start + length, text, to);
    return to + length;
  }

  /** An integer whose prefix is masked by `mask` (RFC 7541 section 5.1). -1 where it is cut off or has more than 28 bits. */
  #integer(bytes: TextBuffer, from: number, end: number, mask: number): number {
    let value = (bytes[from] as number) & mask;
    let at = from + 1;
    if (value === mask) {
      for (let shift = 0; ; shift += 7) {
        if (at >= end || shift > 21) return -1;
        const byte = bytes[at++] as number;
        value += (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
    }
    this.#at = at;
    return value;
  }
}

function copyName(field: TableField, text: TextBuffer, to: number): number {
  copyBytes(field.line, 0, field.nameEnd, text, to);
  return to + field.nameEnd;
}

function copyLine(text: TextBuffer, at: number, end: number): TextBuffer {
  const line = allocateText(end - at);
  copyBytes(text, at, end, line, 0);
  return line;
}

/** One for the thread. */
const literals = new LiteralCache();
/** What both sides start from (RFC 9113 section 6.5.2). */
const defaultTableBytes = 4096;
const COLON = 58;
const SP = 32;
const CR = 13;
const LF = 10;
