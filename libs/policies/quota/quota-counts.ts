import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { PlanFacts } from '@remora/policy-kit/consumer-parts';
import type { Exchange } from '@remora/policy-kit/exchange';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { KnownConsumers } from './known-consumers.ts';
import { QuotaCount } from './quota-count.ts';

const none: readonly QuotaCount[] = Object.freeze([]);

/** The counts of the consumers that were here lately, in the periods of now. */
export class QuotaCounts {
  readonly #directory: ConsumerDirectory;
  readonly #context: FilterContext;
  readonly #known: KnownConsumers;

  constructor(context: FilterContext) {
    this.#directory = consumerDirectory(context.facts('consumers'));
    this.#context = context;
    // All places of a data thread share what was leased: a quota is one, wherever it is used.
    this.#known = context.live.keep(`quota/${context.shadow ? 'shadow/' : ''}counts`, 'counts', () => new KnownConsumers(context));
  }

  /** Of the consumer of a request; none where it has no quota. */
  of(x: Exchange): readonly QuotaCount[] {
    const consumer = x.identity?.consumer ?? null;
    if (consumer === null || consumer.plan === '') return none;
    const plan = this.#directory.plan(consumer.plan);
    if (plan === null || plan.quotas.length === 0) return none;
    const known = this.#known.get(consumer.name);
    const wallMs = this.#context.clock.wallMs();
    if (known !== undefined && known.plan === plan && wallMs < known.until) return known.counts;
    return this.#renew(consumer.name, plan, known?.counts ?? none, wallMs);
  }

  /** What is still the same goes on. */
  #renew(consumer: string, plan: PlanFacts, before: readonly QuotaCount[], wallMs: number): readonly QuotaCount[] {
    const counts = plan.quotas.map((quota) => (
      before.find((one) => one.plan === plan.name && JSON.stringify(one.quota) === JSON.stringify(quota) && wallMs < one.period.endMs) ?? new QuotaCount(consumer, plan.name, quota, wallMs)));
    this.#known.put(consumer, { plan, counts, until: Math.min(...counts.map(({ period }) => period.endMs)) });
    return counts;
  }
}
