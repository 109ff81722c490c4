import type { Clock } from '@remora/core/clock';
import type { PlanFacts } from '@remora/policy-kit/consumer-parts';
import type { FilterContext, Lapsing } from '@remora/policy-kit/runtime-kind';
import { StoreLine } from '@remora/policy-kit/store/store-line';
import type { QuotaCount } from './quota-count.ts';

/** A consumer that was here lately, and its counts in the periods of then. */
export interface KnownConsumer {
  readonly plan: PlanFacts;
  /** When the first of its periods ends, Unix milliseconds. */
  readonly until: number;
  readonly counts: readonly QuotaCount[];
}

/** Consumers that are counted by a data thread at once; beyond, those that asked longest ago are forgotten. */
export const consumersMax = 16_384;
/** Of those that asked longest ago, so many are looked at whenever another one is renewed. */
const lookedAt = 16;

/** The consumers of one data thread. Whoever goes, goes with what it leased and did not use: that is given back to the store. */
export class KnownConsumers implements Lapsing {
  readonly #known = new Map<string, KnownConsumer>();
  readonly #line: StoreLine;
  readonly #clock: Clock;
  readonly #forgotten: () => void;

  constructor(context: FilterContext) {
    this.#line = StoreLine.of(context);
    this.#clock = context.clock;
    this.#forgotten = context.counter('quota_consumers_forgotten');
  }

  get(name: string): KnownConsumer | undefined {
    return this.#known.get(name);
  }

  put(name: string, consumer: KnownConsumer): void {
    const gone = this.#known.get(name)?.counts.filter((count) => !consumer.counts.includes(count)) ?? [];
    this.#known.delete(name);
    this.#giveBack([...gone, ...this.#passOver()]);
    this.#known.set(name, consumer);
  }

  lapse(): void {
    const counts = [...this.#known.values()].flatMap((consumer) => consumer.counts);
    this.#known.clear();
    this.#giveBack(counts);
  }

  /** Takes out the oldest where there are too many, and some of those whose periods are over. */
  #passOver(): QuotaCount[] {
    const gone: QuotaCount[] = [];
    const wallMs = this.#clock.wallMs();
    let seen = 0;
    for (const [name, { counts, until }] of this.#known) {
      const full = this.#known.size >= consumersMax;
      if (!full && seen++ >= lookedAt) break;
      if (!full && wallMs < until) continue;
      this.#known.delete(name);
      if (full) this.#forgotten();
      gone.push(...counts);
    }
    return gone;
  }

  #giveBack(counts: readonly QuotaCount[]): void {
    const nowMs = this.#clock.monotonicMs();
    const back = counts.flatMap((count) => count.lapse(nowMs) ?? []);
    if (back.length > 0) this.#line.giveBack(back);
  }
}
