import type { TrafficCounts } from './traffic-counts.ts';
import { OpenSlot, readSlot, type TrafficRow } from './traffic-slot.ts';

export const slotMs = 10_000;
export const slotsKept = 360;

/** A row as it counts for a window. */
export interface WindowRow {
  readonly row: TrafficRow;
  /** Share of the row that lies in the window, 0 to 1. */
  readonly share: number;
  /** Slots before now of the row's last slot: 0 is the open one. */
  readonly age: number;
}

/**
 * The last hour in slots of 10 s. Sealed slots are compact bytes under one bound for all of them: where it is reached the
 * oldest go first, and the history is shorter than an hour.
 */
export class TrafficHistory {
  readonly #bytesMax: number;
  readonly #rowsPerSlotMax: number;
  /** Newest last; sealed slots without rows are empty bytes. */
  readonly #sealed: Uint8Array[] = [];
  #bytes = 0;
  #open = new OpenSlot();
  #slot: number;
  /** Rows that found their slot full. */
  droppedRows = 0;

  constructor(options: { readonly nowMs: number; readonly bytesMax: number; readonly rowsPerSlotMax: number }) {
    this.#slot = Math.floor(options.nowMs / slotMs);
    this.#bytesMax = options.bytesMax;
    this.#rowsPerSlotMax = options.rowsPerSlotMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How much of the past is known, up to now. */
  coveredMs(nowMs: number): number {
    return this.#sealed.length * slotMs + Math.max(0, nowMs - this.#slot * slotMs);
  }

  /** Counts of one series that arose in the last `span` slots, this one included. False: the slot is full. */
  add(nowMs: number, series: number, span: number, counts: TrafficCounts): boolean {
    this.roll(nowMs);
    if (this.#open.add(series, Math.min(Math.max(1, span), slotsKept), counts, this.#rowsPerSlotMax)) return true;
    this.droppedRows++;
    return false;
  }

  /** Seals what is over. `nowMs` is monotonic. */
  roll(nowMs: number): void {
    const slot = Math.floor(nowMs / slotMs);
    if (slot <= this.#slot) return;
    for (let missing = Math.min(slot - this.#slot, slotsKept); missing > 0; missing--) {
      const bytes = this.#open.seal();
      if (this.#open.size > 0) this.#open = new OpenSlot();
      this.#sealed.push(bytes);
      this.#bytes += bytes.length;
    }
    this.#slot = slot;
    while (this.#sealed.length > slotsKept - 1 || this.#bytes > this.#bytesMax) {
      const oldest = this.#sealed.shift();
      if (!oldest) break;
      this.#bytes -= oldest.length;
    }
  }

  /** Rows of the last `slots` slots, the open one included, newest first. */
  *window(nowMs: number, slots: number, wanted: (series: number) => boolean): IterableIterator<WindowRow> {
    this.roll(nowMs);
    for (const row of this.#open.rows()) if (wanted(row.series)) yield { row, share: Math.min(1, slots / row.span), age: 0 };
    for (let age = 1; age < slots; age++) {
      const bytes = this.#sealed[this.#sealed.length - age];
      if (!bytes) return;
      if (bytes.length === 0) continue;
      for (const row of readSlot(bytes, wanted)) yield { row, share: Math.min(1, (slots - age) / row.span), age };
    }
  }
}
