import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { PlanFacts, PlanLimitFacts } from '@remora/policy-kit/consumer-parts';
import type { Exchange } from '@remora/policy-kit/exchange';
import type { ConsumerFacts } from '@remora/policy-kit/request-identity';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { InstanceShare, instancesFactKind } from '@remora/policy-kit/instance-share';
import { CellTable } from './cell-table.ts';
import { FleetCounts, fleetStride } from './fleet-counts.ts';
import { FleetLimit } from './fleet-limit.ts';
import type { KeyReader, KeySink } from './key-reader.ts';
import { Counts, Limit, LocalShare, type CountingLimit } from './limit.ts';

/** Consumers counted at once, times the limits of their plans; beyond, the stalest is forgotten. */
const keysMax = 8_192;
const noLimits: readonly CountingLimit[] = Object.freeze([]);

/**
 * The limits that consumers have by their Plans. Plans change without a snapshot, so all their limits share one table; what a limit is, is part of its key:
 * a plan that changes begins anew, and the same plan goes on counting.
 */
export class PlanLimits {
  readonly #directory: ConsumerDirectory;
  readonly #counts: Counts;
  readonly #fleetCounts: FleetCounts;
  readonly #instances: InstanceShare;
  readonly #place: string;
  readonly #made = new WeakMap<PlanFacts, readonly CountingLimit[]>();

  constructor(context: FilterContext) {
    this.#directory = consumerDirectory(context.facts('consumers'));
    const owner = context.scope.slice(0, context.scope.lastIndexOf('/'));
    const key = `rateLimit/${owner}/${context.shadow ? 'shadow/' : ''}plans`;
    const memory = context.shared?.(key, 'plans', CellTable.bytesFor(keysMax)) ?? null;
    this.#counts = context.live.keep(key, 'plans', () => new Counts({ maxKeys: keysMax }, context, memory));
    const fleetMemory = context.shared?.(`${key}/fleet`, 'plans', CellTable.bytesFor(keysMax, fleetStride)) ?? null;
    this.#fleetCounts = context.live.keep(`${key}/fleet`, 'plans', () => new FleetCounts({ maxKeys: keysMax }, context, fleetMemory));
    this.#instances = new InstanceShare(context.facts(instancesFactKind));
    this.#place = `${context.shadow ? 'shadow/' : ''}${owner}`;
  }

  /** Those of the consumer of a request; none where it has no Plan. */
  of(x: Exchange): readonly CountingLimit[] {
    const consumer = x.identity?.consumer ?? null;
    if (consumer === null || consumer.plan === '') return noLimits;
    const plan = this.#directory.plan(consumer.plan);
    if (plan === null || plan.limits.length === 0) return noLimits;
    let limits = this.#made.get(plan);
    if (limits === undefined) this.#made.set(plan, limits = plan.limits.map((limit) => this.#create(plan.name, limit)));
    return limits;
  }

  #create(plan: string, limit: PlanLimitFacts): CountingLimit {
    const { name, algorithm, requests, perMs, burst, sharedBy } = limit;
    const terms = { algorithm, requests, perMs, burst, cost: 1 };
    const pointer = `/plans/${plan}/limits/${name}`;
    if (sharedBy !== 'fleet') {
      return new Limit({
        settings: { name: `${plan}/${name}`, requests, perMs, algorithm }, pointer, applies: null, counts: this.#counts, waiting: { count: 0 },
        share: new LocalShare(terms, sharedBy === 'service' ? this.#instances : null),
        readKey: readConsumerOf(`${plan}/${name}/${algorithm}/${requests}/${perMs}/${burst}`),
      });
    }
    return new FleetLimit({
      settings: { ...terms, name: `${plan}/${name}`, onStoreFailure: 'degrade' },
      pointer,
      storeName: `${this.#place}/${plan}/${name}`,
      storeIdentity: JSON.stringify([this.#place, 'plan', plan, name, algorithm, perMs]),
      applies: null,
      readKey: readConsumer,
      counts: this.#fleetCounts,
      instances: this.#instances,
    });
  }
}

function readConsumer(x: Exchange, key: KeySink): void {
  key.add(2, nameOf(x.identity?.consumer ?? null));
}

/** `shape`: everything that the limit is, beside others in the same table. */
function readConsumerOf(shape: string): KeyReader {
  return (x, key) => {
    key.add(1, shape);
    readConsumer(x, key);
  };
}

function nameOf(consumer: ConsumerFacts | null): string {
  return consumer === null ? '' : consumer.name;
}
