/**
 * What policy kinds count, in the shared memory of one thread behind its series (series-rows.ts): the data thread is the only writer, the
 * control thread reads. A slot carries its own name, so that nothing has to be told. At most `eventsMax` names, which are constants of the
 * code; what does not fit is counted as `_overflow`.
 */
export class PolicyEvents {
  readonly #counts: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #counters = new Map<string, EventCounter>();
  readonly #layout: EventLayout;

  /** `at`: where the slots begin, a multiple of 8. */
  constructor(memory: SharedArrayBuffer, at: number, layout: EventLayout = eventLayout) {
    this.#layout = layout;
    this.#counts = new Float64Array(memory, at, layout.slots * layout.slotNumbers);
    this.#bytes = new Uint8Array(memory, at, layoutBytes(layout));
    this.counter(overflowName);
  }

  /** The counter of a name: asked for when a filter is built, then one addition for each event. */
  counter(name: string): EventCounter {
    const known = this.#counters.get(name);
    if (known !== undefined) return known;
    const { slots, slotNumbers } = this.#layout;
    if (this.#counters.size >= slots || name.length > nameMaxOf(this.#layout)) return this.counter(overflowName);
    const counts = this.#counts;
    const at = this.#counters.size * slotNumbers;
    const counter: EventCounter = (by = 1) => {
      counts[at] = (counts[at] as number) + by;
    };
    this.#counters.set(name, counter);
    const start = at * 8 + 9;
    for (let i = 0; i < name.length; i++) this.#bytes[start + i] = name.charCodeAt(i);
    // The length last: a slot without one is not read.
    Atomics.store(this.#bytes, start - 1, name.length);
    return counter;
  }

  count(name: string, by: number): void {
    this.counter(name)(by);
  }

  toMap(): Map<string, number> {
    const sums = new Map<string, number>();
    addEvents(this.#counts.buffer as SharedArrayBuffer, this.#counts.byteOffset, sums, this.#layout);
    return sums;
  }
}

/** Adds to one count; 1 where no number is given. */
export type EventCounter = (by?: number) => void;

/** Adds what one thread counted, by name, to a sum over threads. What was asked for and never counted is 0. */
export function addEvents(memory: SharedArrayBuffer, at: number, sums: Map<string, number>, layout: EventLayout = eventLayout): void {
  const { slots, slotNumbers } = layout;
  const counts = new Float64Array(memory, at, slots * slotNumbers);
  const bytes = new Uint8Array(memory, at, layoutBytes(layout));
  for (let slot = 0; slot < slots; slot++) {
    const start = slot * slotNumbers * 8 + 9;
    const length = Atomics.load(bytes, start - 1);
    if (length === 0) return;
    const count = counts[slot * slotNumbers] as number;
    const name = String.fromCharCode(...bytes.subarray(start, start + length));
    if (count === 0 && name === overflowName) continue;
    sums.set(name, (sums.get(name) ?? 0) + count);
  }
}

/** A slot: the count, the length of the name in one byte, the name. */
export interface EventLayout {
  readonly slots: number;
  /** Numbers of 8 bytes that a slot takes; at most 33. */
  readonly slotNumbers: number;
}

export function layoutBytes({ slots, slotNumbers }: EventLayout): number {
  return slots * slotNumbers * 8;
}

function nameMaxOf({ slotNumbers }: EventLayout): number {
  return Math.min(255, slotNumbers * 8 - 9);
}

export const eventsMax = 256;
const eventLayout: EventLayout = { slots: eventsMax, slotNumbers: 8 };
const overflowName = '_overflow';

export const eventBytes = layoutBytes(eventLayout);
