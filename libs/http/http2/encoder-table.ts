import type { Field } from '../head.ts';
import { staticCount } from './static-table.ts';
import { fieldOverhead } from './table-field.ts';

/** What an encoder has told its peer to remember: one entry of the dynamic table. */
export interface EncoderEntry {
  readonly hash: number;
  /** Header id; 0 where the name has none, then `name` counts; negative: a pseudo-header field. */
  readonly id: number;
  /** Lower case. */
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  /** The prepared field that was written like this last: it is known again without looking at its bytes. */
  field: Field | null;
}

/**
 * The encoder's side of the dynamic table (RFC 7541 section 2.3.2). Entries are found by hash through an index that may forget: whoever falls out of it is sent
 * again. So nothing has to be cleaned up when entries are evicted, and memory is bounded by the table's size.
 */
export class EncoderTable {
  #maxBytes: number;
  #bytes = 0;
  #count = 0;
  /** Entries ever added: the number of the newest. */
  #added = 0;
  #ring: (EncoderEntry | null)[] = [];
  /** Numbers of entries by hash, and by id of their name. */
  #byHash: Int32Array = noSlots;
  #byId: Int32Array = noSlots;
  #byField: Int32Array = noSlots;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The entry with this hash, if any; the caller compares the rest and takes `lastIndex`. */
  find(hash: number): EncoderEntry | null {
    if (this.#count === 0) return null;
    const number = this.#byHash[hash & slotMask] as number;
    if (number <= this.#added - this.#count) return null;
    const entry = this.#ring[number & (this.#ring.length - 1)] as EncoderEntry;
    if (entry.hash !== hash) return null;
    this.lastIndex = staticCount + 1 + this.#added - number;
    return entry;
  }

  /** HPACK index of the entry that `find` found, or that was added last. */
  lastIndex = 0;

  /** HPACK index of the entry that was last written for this very field; 0 where none is known. */
  fieldIndex(field: Field): number {
    if (this.#count === 0) return 0;
    const number = this.#byField[fieldSlot(field)] as number;
    if (number <= this.#added - this.#count) return 0;
    const entry = this.#ring[number & (this.#ring.length - 1)] as EncoderEntry;
    return entry.field === field ? staticCount + 1 + this.#added - number : 0;
  }

  /** The entry at `lastIndex` was written for `field`. */
  remember(field: Field): void {
    const number = this.#added + staticCount + 1 - this.lastIndex;
    (this.#ring[number & (this.#ring.length - 1)] as EncoderEntry).field = field;
    this.#byField[fieldSlot(field)] = number;
  }

  /** HPACK index of some entry with this name; 0 where none is known. `id` is not 0. */
  nameIndex(id: number): number {
    if (this.#count === 0) return 0;
    const number = this.#byId[id & slotMask] as number;
    if (number <= this.#added - this.#count) return 0;
    const entry = this.#ring[number & (this.#ring.length - 1)] as EncoderEntry;
    return entry.id === id ? staticCount + 1 + this.#added - number : 0;
  }

  /** Whether an entry of this length can be in the table at all. */
  fits(textLength: number): boolean {
    return textLength + fieldOverhead <= this.#maxBytes;
  }

  add(entry: EncoderEntry): void {
    const size = entry.name.length + entry.value.length + fieldOverhead;
    this.#shrinkTo(this.#maxBytes - size);
    if (this.#byHash === noSlots) {
      this.#byHash = new Int32Array(slotMask + 1);
      this.#byId = new Int32Array(slotMask + 1);
      this.#byField = new Int32Array(slotMask + 1);
    }
    if (this.#count === this.#ring.length) this.#grow();
    const number = ++this.#added;
    this.lastIndex = staticCount + 1;
    this.#ring[number & (this.#ring.length - 1)] = entry;
    this.#count++;
    this.#bytes += size;
    this.#byHash[entry.hash & slotMask] = number;
    if (entry.id !== 0) this.#byId[entry.id & slotMask] = number;
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#shrinkTo(maxBytes);
  }

  #shrinkTo(bytes: number): void {
    while (this.#count > 0 && this.#bytes > bytes) {
      const slot = (this.#added - this.#count + 1) & (this.#ring.length - 1);
      const { name, value } = this.#ring[slot] as EncoderEntry;
      this.#bytes -= name.length + value.length + fieldOverhead;
      this.#ring[slot] = null;
      this.#count--;
    }
  }

  #grow(): void {
    const larger = Array.from<EncoderEntry | null>({ length: Math.max(ringMin, this.#ring.length * 2) }).fill(null);
    for (let number = this.#added - this.#count + 1; number <= this.#added; number++) {
      larger[number & (larger.length - 1)] = this.#ring[number & (this.#ring.length - 1)] as EncoderEntry;
    }
    this.#ring = larger;
  }
}

function fieldSlot({ id, value }: Field): number {
  return (id * 31 + value.length * 7 + (value.length > 0 ? value.charCodeAt(value.length - 1) : 0)) & slotMask;
}

const slotMask = 127;
/** A power of two, as every length of the ring. */
const ringMin = 8;
const noSlots = new Int32Array(0);
