import type { TableField } from './table-field.ts';

/** A decoder's dynamic table (RFC 7541 section 2.3.2): a ring that grows with what is in it, bounded by `maxBytes`. */
export class DynamicTable {
  #maxBytes: number;
  #ring: (TableField | null)[] = [];
  #newest = 0;
  #count = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** 0 is the newest. Null beyond the oldest. */
  at(index: number): TableField | null {
    if (index < 0 || index >= this.#count) return null;
    return this.#ring[(this.#newest - index) & (this.#ring.length - 1)] as TableField;
  }

  /** One that is larger than the table empties it (RFC 7541 section 4.4). */
  add(field: TableField): void {
    const { size } = field;
    this.#shrinkTo(this.#maxBytes - size);
    if (size > this.#maxBytes) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#bytes += size;
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#shrinkTo(maxBytes);
  }

  #shrinkTo(bytes: number): void {
    while (this.#count > 0 && this.#bytes > bytes) {
      const oldest = (this.#newest - this.#count + 1) & (this.#ring.length - 1);
      this.#bytes -= (this.#ring[oldest] as TableField).size;
      this.#ring[oldest] = null;
      this.#count--;
    }
  }

  #grow(): void {
    const larger = Array.from<TableField | null>({ length: Math.max(ringMin, this.#ring.length * 2) }).fill(null);
    for (let i = 0; i < this.#count; i++) larger[this.#count - 1 - i] = this.at(i);
    this.#ring = larger;
    this.#newest = this.#count - 1;
  }
}

/** A power of two, as every length of the ring. */
const ringMin = 8;
