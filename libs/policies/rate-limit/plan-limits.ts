import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { PlanFacts, PlanLimitFacts } from '@remora/policy-kit/consumer-parts';
import type { Exchange } from '@remora/policy-kit/exchange';
import type { ConsumerFacts } from '@remora/policy-kit/request-identity';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { InstanceShare, instancesFactKind } from '@remora/policy-kit/instance-share';
import { emptyDecision, type Algorithm, type Decision } from './algorithm.ts';
import { CellTable } from './cell-table.ts';
import { FleetCounts, fleetStride } from './fleet-counts.ts';
import { FleetLimit } from './fleet-limit.ts';
import { KeyHash } from './key-hash.ts';
import type { KeySink } from './key-reader.ts';
import { Counts, LocalShare, type CountingLimit, type Waiting } from './limit.ts';

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
    if (limit.sharedBy !== 'fleet') return new PlanLimit(plan, limit, this.#counts, limit.sharedBy === 'service' ? this.#instances : null);
    const { name, algorithm, requests, perMs, burst } = limit;
    return new FleetLimit({
      settings: { name: `${plan}/${name}`, algorithm, requests, perMs, burst, cost: 1, onStoreFailure: 'degrade' },
      pointer: `/plans/${plan}/limits/${name}`,
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

class PlanLimit implements CountingLimit {
  readonly fleet = false;
  readonly settings: CountingLimit['settings'];
  readonly pointer: string;
  readonly decision: Decision = emptyDecision();
  readonly waiting: Waiting = { count: 0 };
  readonly #counts: Counts;
  readonly #share: LocalShare;
  /** Everything that it is. */
  readonly #shape: string;
  #hash: KeyHash | null = null;

  constructor(plan: string, limit: PlanLimitFacts, counts: Counts, instances: InstanceShare | null) {
    const { name, algorithm, requests, perMs, burst } = limit;
    this.settings = { name: `${plan}/${name}`, requests, perMs };
    this.pointer = `/plans/${plan}/limits/${name}`;
    this.#share = new LocalShare({ algorithm, requests, perMs, burst, cost: 1 }, instances);
    this.#counts = counts;
    this.#shape = `${plan}/${name}/${algorithm}/${requests}/${perMs}/${burst}`;
  }

  get algorithm(): Algorithm {
    return this.#share.algorithm;
  }

  appliesTo(): boolean {
    return true;
  }

  decide(x: Exchange, nowMs: number, commit: boolean): Decision {
    const { table } = this.#counts;
    this.#hash ??= new KeyHash(...this.#counts.seed());
    const hash = this.#hash;
    hash.start();
    hash.add(1, this.#shape);
    readConsumer(x, hash);
    hash.finish();
    const { algorithm } = this.#share;
    const at = table.acquire(hash.high, hash.low, algorithm, nowMs);
    algorithm.decide(table.cells, at, nowMs, commit, this.decision);
    table.release(hash.high);
    return this.decision;
  }

  takeOverflows(): number {
    const { table } = this.#counts;
    const count = table.overflows;
    table.overflows = 0;
    return count;
  }
}

function nameOf(consumer: ConsumerFacts | null): string {
  return consumer === null ? '' : consumer.name;
}
