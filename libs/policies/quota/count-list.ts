import type { StoreAsk } from '@remora/policy-kit/store/store-questions';
import type { QuotaCount } from './quota-count.ts';

/**
 * Counts in order. Made once and cleared for each request: an array's `length = 0` gives its memory away, and the next `push` asks for it again. As long as a Plan
 * has quotas.
 */
export class CountList {
  readonly #counts: QuotaCount[];
  #length = 0;

  constructor(counts: readonly QuotaCount[] = []) {
    this.#counts = [...counts];
    this.#length = counts.length;
  }

  get length(): number {
    return this.#length;
  }

  at(place: number): QuotaCount {
    return this.#counts[place] as QuotaCount;
  }

  add(count: QuotaCount): void {
    this.#counts[this.#length++] = count;
  }

  clear(): void {
    this.#length = 0;
  }

  /** One that stays as it is when this one is cleared. */
  copy(): CountList {
    return new CountList(this.#counts.slice(0, this.#length));
  }

  /** What each has to say to the store. */
  asks(of: (count: QuotaCount) => StoreAsk | null): StoreAsk[] {
    const asks: StoreAsk[] = [];
    for (let i = 0; i < this.#length; i++) {
      const ask = of(this.at(i));
      if (ask !== null) asks.push(ask);
    }
    return asks;
  }
}
