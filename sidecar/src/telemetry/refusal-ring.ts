import type { HealthState } from '../health/health-record.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';

export const refusalsKept = 1_000;

/** A refusal, or a failure that was passed on, with what this sidecar held against its destination at that time. */
export interface KeptRefusal extends RefusalRecord {
  /** At most 16, the newest. */
  readonly held?: readonly HealthState[];
}

/** The last refusals of this sidecar, and beside them the last failures of others that it passed on. Newest first in every answer; the oldest goes at the bound. */
export class RefusalRing {
  readonly #refusals = new Ring();
  readonly #relayed = new Ring();

  add(refusal: KeptRefusal): void {
    this.#refusals.add(refusal);
  }

  addRelayed(failure: KeptRefusal): void {
    this.#relayed.add(failure);
  }

  /** Refusals since the start, kept or not. */
  get total(): number {
    return this.#refusals.total;
  }

  newest(limit: number): readonly KeptRefusal[] {
    return this.#refusals.fromNewest(limit, () => true);
  }

  /** All that is kept of one request: shadow verdicts come besides the one that refused. */
  of(requestId: string): readonly KeptRefusal[] {
    const wanted = (record: KeptRefusal): boolean => record.requestId === requestId;
    return [...this.#refusals.fromNewest(ofOneMax, wanted), ...this.#relayed.fromNewest(ofOneMax, wanted)];
  }
}

class Ring {
  readonly #slots: KeptRefusal[] = [];
  #next = 0;
  total = 0;

  add(record: KeptRefusal): void {
    this.#slots[this.#next] = record;
    this.#next = (this.#next + 1) % refusalsKept;
    this.total++;
  }

  fromNewest(limit: number, wanted: (record: KeptRefusal) => boolean): readonly KeptRefusal[] {
    const found: KeptRefusal[] = [];
    for (let back = 1; back <= this.#slots.length && found.length < limit; back++) {
      const record = this.#slots[(this.#next - back + refusalsKept) % refusalsKept];
      if (record && wanted(record)) found.push(record);
    }
    return found;
  }
}

const ofOneMax = 32;
