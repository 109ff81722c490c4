import type { RefusalRecord } from '../threads/data-plane.ts';

export const refusalsKept = 1_000;

/** The last refusals of this sidecar, newest first in every answer. The oldest goes at the bound. */
export class RefusalRing {
  readonly #slots: RefusalRecord[] = [];
  #next = 0;
  #total = 0;

  add(refusal: RefusalRecord): void {
    this.#slots[this.#next] = refusal;
    this.#next = (this.#next + 1) % refusalsKept;
    this.#total++;
  }

  /** Refusals since the start, kept or not. */
  get total(): number {
    return this.#total;
  }

  newest(limit: number): readonly RefusalRecord[] {
    return this.#fromNewest(limit, () => true);
  }

  /** All kept refusals of one request: shadow verdicts come besides the one that refused. */
  of(requestId: string): readonly RefusalRecord[] {
    return this.#fromNewest(32, (refusal) => refusal.requestId === requestId);
  }

  #fromNewest(limit: number, wanted: (refusal: RefusalRecord) => boolean): readonly RefusalRecord[] {
    const found: RefusalRecord[] = [];
    for (let back = 1; back <= this.#slots.length && found.length < limit; back++) {
      const refusal = this.#slots[(this.#next - back + refusalsKept) % refusalsKept];
      if (refusal && wanted(refusal)) found.push(refusal);
    }
    return found;
  }
}
