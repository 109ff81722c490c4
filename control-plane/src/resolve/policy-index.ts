import type { SubjectKey } from '@remora/core/subject';
import { sectionsOf } from '@remora/model/policy-schema';
import type { BoundDocument, PolicyDocument } from '@remora/model/policy-schema';
import type { FromDocument, TargetDocument } from '@remora/model/target-schema';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';

export type KindSide = 'provider' | 'caller';

/** A policy as resolving sees it. */
export interface PolicyRecord {
  /** Unique over this process and changed with every write of the policy: names its content in cache keys. */
  readonly id: number;
  readonly policy: PolicyDocument;
  readonly strength: number;
  /** Whether it has a section, or a bound, of a kind of that side. */
  readonly concerns: Readonly<Record<KindSide, boolean>>;
  readonly bounds: readonly BoundDocument[];
}

/** Policies that hold at one level for one thing, `from` apart; sorted by name. */
export interface PolicyBucket {
  readonly plain: readonly PolicyRecord[];
  readonly narrowed: readonly PolicyRecord[];
}

/**
 * Strength of targets, from weak to strong. Each is doubled, and `from` adds one: stronger than the same target without it, and
 * weaker than the next.
 */
export const targetRanks = {
  everything: 0, allServices: 1, labelledServices: 2, service: 3, serviceRoute: 4, allGateways: 5, gateway: 6, gatewayRoute: 7,
} as const;

export type TargetRank = keyof typeof targetRanks;

export function rankOf(target: TargetDocument): TargetRank {
  if (target.service !== undefined) return target.route === undefined ? 'service' : 'serviceRoute';
  if (target.gateway !== undefined) return target.route === undefined ? 'gateway' : 'gatewayRoute';
  if (target.gateways !== undefined) return 'allGateways';
  if (target.services === undefined) return 'everything';
  return target.services === 'all' ? 'allServices' : 'labelledServices';
}

export function strengthOf(policy: { readonly target: TargetDocument; readonly from?: FromDocument | undefined }): number {
  return targetRanks[rankOf(policy.target)] * 2 + (policy.from === undefined ? 0 : 1);
}

/** `{service: payments} from {service: batch}`: a target as people write it. */
export function describeTarget(policy: { readonly target: TargetDocument; readonly from?: FromDocument | undefined }): string {
  return policy.from === undefined ? flow(policy.target) : `${flow(policy.target)} from ${flow(policy.from)}`;
}

function flow(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  return `{${Object.entries(value).map(([key, item]) => `${key}: ${flow(item)}`).join(', ')}}`;
}

const emptyBucket: PolicyBucket = Object.freeze({ plain: [], narrowed: [] });

/** All policies by target. Immutable; `change` answers another one that shares what is the same. */
export class PolicyIndex {
  readonly #kinds: ReadonlyMap<string, AuthoringKind>;
  readonly #buckets: ReadonlyMap<string, PolicyBucket>;
  readonly #records: ReadonlyMap<string, PolicyRecord>;
  /** Routes named in targets and exceptions, by owner. */
  readonly #routes: ReadonlyMap<SubjectKey, ReadonlySet<string>>;

  private constructor(kinds: ReadonlyMap<string, AuthoringKind>, buckets: ReadonlyMap<string, PolicyBucket>, records: ReadonlyMap<string, PolicyRecord>) {
    this.#kinds = kinds;
    this.#buckets = buckets;
    this.#records = records;
    this.#routes = namedRoutes(records.values());
  }

  static empty(kinds: ReadonlyMap<string, AuthoringKind>): PolicyIndex {
    return new PolicyIndex(kinds, new Map(), new Map());
  }

  get size(): number {
    return this.#records.size;
  }

  record(name: string): PolicyRecord | undefined {
    return this.#records.get(name);
  }

  records(): Iterable<PolicyRecord> {
    return this.#records.values();
  }

  /** Policies whose target is exactly this. */
  bucket(rank: TargetRank, name = '', route = ''): PolicyBucket {
    return this.#buckets.get(bucketKey(rank, name, route)) ?? emptyBucket;
  }

  /** Whether any target or exception names this Route: otherwise what holds for its owner holds for it. */
  namesRoute(owner: SubjectKey, route: string): boolean {
    return this.#routes.get(owner)?.has(route) ?? false;
  }

  /** Policies for services with labels: the caller filters. */
  labelled(): PolicyBucket {
    return this.bucket('labelledServices');
  }

  /** Names to their new document; undefined: deleted. */
  change(changes: ReadonlyMap<string, PolicyDocument | undefined>): PolicyIndex {
    if (changes.size === 0) return this;
    const records = new Map(this.#records);
    const buckets = new Map(this.#buckets);
    const added = new Map<string, PolicyRecord[]>();
    for (const [name, policy] of changes) {
      const before = records.get(name);
      if (before) removeFrom(buckets, before);
      if (policy === undefined) {
        records.delete(name);
        continue;
      }
      const record = makeRecord(policy, this.#kinds);
      records.set(name, record);
      const key = keyOf(policy.target);
      const list = added.get(key);
      if (list) list.push(record);
      else added.set(key, [record]);
    }
    for (const [key, list] of added) buckets.set(key, extend(buckets.get(key) ?? emptyBucket, list));
    return new PolicyIndex(this.#kinds, buckets, records);
  }
}

function namedRoutes(records: Iterable<PolicyRecord>): ReadonlyMap<SubjectKey, ReadonlySet<string>> {
  const routes = new Map<SubjectKey, Set<string>>();
  const add = ({ service, gateway, route }: TargetDocument): void => {
    if (route === undefined) return;
    const owner: SubjectKey = service === undefined ? `gateway/${gateway ?? ''}` : `service/${service}`;
    const names = routes.get(owner);
    if (names) names.add(route);
    else routes.set(owner, new Set([route]));
  };
  for (const { policy, bounds } of records) {
    add(policy.target);
    for (const { except } of bounds) for (const target of except ?? []) add(target);
  }
  return routes;
}

let lastId = 0;

function makeRecord(policy: PolicyDocument, kinds: ReadonlyMap<string, AuthoringKind>): PolicyRecord {
  const bounds = policy.bounds ?? [];
  const named = [...sectionsOf(policy), ...bounds.map(({ field }) => field.split('/')[1] ?? '')];
  const concerns = (side: KindSide): boolean => named.some((name) => kinds.get(name)?.side === side);
  return Object.freeze({ id: ++lastId, policy, strength: strengthOf(policy), bounds, concerns: { provider: concerns('provider'), caller: concerns('caller') } });
}

function keyOf(target: TargetDocument): string {
  return bucketKey(rankOf(target), target.service ?? target.gateway ?? '', target.route ?? '');
}

/** Names have no slash. */
function bucketKey(rank: TargetRank, name: string, route: string): string {
  return `${rank}/${name}/${route}`;
}

function removeFrom(buckets: Map<string, PolicyBucket>, record: PolicyRecord): void {
  const key = keyOf(record.policy.target);
  const bucket = buckets.get(key);
  if (!bucket) return;
  const without = (list: readonly PolicyRecord[]): readonly PolicyRecord[] => list.filter((other) => other !== record);
  const rest = { plain: without(bucket.plain), narrowed: without(bucket.narrowed) };
  if (rest.plain.length + rest.narrowed.length === 0) buckets.delete(key);
  else buckets.set(key, rest);
}

function extend(bucket: PolicyBucket, records: readonly PolicyRecord[]): PolicyBucket {
  const byName = (a: PolicyRecord, b: PolicyRecord): number => (a.policy.name < b.policy.name ? -1 : 1);
  const split = (narrowed: boolean): PolicyRecord[] => records.filter((record) => (record.policy.from !== undefined) === narrowed);
  return { plain: [...bucket.plain, ...split(false)].sort(byName), narrowed: [...bucket.narrowed, ...split(true)].sort(byName) };
}
