import { sameBytes } from './field-kind.ts';
import { staticFields } from './static-table.ts';
import type { TableField } from './table-field.ts';

/**
 * Some encoders put the same few fields into the table with every message and never refer to them (nginx is one). What they send is then always the
 * same bytes: the field made of them before serves again. Only for names of the static table that are no secrets, so the bytes mean the same on every
 * connection. One for a thread; bounded: `slotCount` literals of `rawMax` bytes.
 */
export class LiteralCache {
  readonly #raw: Uint8Array[] = Array.from({ length: slotCount }, () => none);
  readonly #fields: (TableField | null)[] = Array.from({ length: slotCount }, () => null);
  #slot = 0;

  /** Whether a literal with this static name and length may be remembered. */
  takes(nameIndex: number, length: number): boolean {
    return length <= rawMax && nameIndex < rememberedNames.length && rememberedNames[nameIndex] === 1;
  }

  /** The field that `bytes[at, end)` made before; null where it is not remembered: then `put` may follow. */
  find(bytes: Uint8Array, at: number, end: number): TableField | null {
    let hash = 0x811c9dc5;
    for (let i = at; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    this.#slot = (hash ^ (hash >>> 13)) & (slotCount - 1);
    const raw = this.#raw[this.#slot] as Uint8Array;
    return raw.length === end - at && sameBytes(raw, bytes, at) ? (this.#fields[this.#slot] as TableField) : null;
  }

  /** What `find` did not know, right after it. */
  put(bytes: Uint8Array, at: number, end: number, field: TableField): void {
    this.#raw[this.#slot] = Uint8Array.from(bytes.subarray(at, end));
    this.#fields[this.#slot] = field;
  }
}

const slotCount = 128;
const rawMax = 96;
const none = new Uint8Array(0);
const secretNames: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
const rememberedNames = Uint8Array.from([0, ...staticFields.map(([name]) => (secretNames.has(name) || name === ':path' ? 0 : 1))]);
