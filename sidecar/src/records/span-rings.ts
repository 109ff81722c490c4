import { readSpan, type SpanRecord } from './span-record.ts';
import type { SpanRing } from './span-ring.ts';

/** The rings of all data threads, as the control thread empties them. What a dead thread had written is still read. */
export class SpanRings {
  readonly #rings = new Map<number, SpanRing>();
  /** Rings of dead threads, until they are empty. */
  #left: SpanRing[] = [];
  #droppedBefore = 0;
  /** Where the next reading begins, so that no thread starves the others. */
  #turn = 0;

  setSource(thread: number, ring: SpanRing): void {
    this.#rings.set(thread, ring);
  }

  retire(thread: number): void {
    const ring = this.#rings.get(thread);
    if (ring === undefined) return;
    this.#rings.delete(thread);
    this.#left.push(ring);
  }

  /** At most `max` spans. */
  take(max: number): SpanRecord[] {
    const spans: SpanRecord[] = [];
    const rings = [...this.#left, ...this.#rings.values()];
    for (let i = 0; i < rings.length && spans.length < max; i++) {
      const ring = rings[(this.#turn + i) % rings.length] as SpanRing;
      for (let span = ring.take(readSpan); span !== null; span = spans.length < max ? ring.take(readSpan) : null) spans.push(span);
    }
    this.#turn++;
    if (spans.length < max) this.#forgetLeft();
    return spans;
  }

  #forgetLeft(): void {
    for (const { dropped } of this.#left) this.#droppedBefore += dropped;
    this.#left = [];
  }

  /** Spans that did not fit, since the start. */
  get dropped(): number {
    let sum = this.#droppedBefore;
    for (const { dropped } of [...this.#left, ...this.#rings.values()]) sum += dropped;
    return sum;
  }
}
