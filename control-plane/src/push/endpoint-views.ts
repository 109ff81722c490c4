import { contentHash } from '@remora/core/hash';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { InstanceRegistry } from '../instances/instance-registry.ts';
import type { EncodedItem } from './state-items.ts';
import { noItems, type ItemSet } from './subject-items.ts';

/** One service's endpoints as they travel: encoded once for all callers. */
export interface EncodedSet {
  readonly service: string;
  readonly set: EndpointSet;
  /** SHA-256 (hex) of `bytes`. */
  readonly hash: string;
  /** Encoded EndpointSet. */
  readonly bytes: Uint8Array;
  /** When the hub learnt of it. */
  readonly sinceMonotonicMs: number;
}

/** Everything a sidecar has in its state lane. Null: nothing is known of the service, or of all items of a kind; the sidecar holds what it has. */
export interface EndpointView {
  /** SHA-256 (hex) over services with their sets, and items. */
  readonly hash: string;
  readonly sets: ReadonlyMap<string, EncodedSet | null>;
  /** By `kind/name`, or `kind/` for a kind of which nothing is known. Null: what the sidecar has is not known. */
  readonly items: ReadonlyMap<string, EncodedItem | null> | null;
}

/** The services a sidecar needs, with the view of them that was current when somebody last asked. */
export class DestinationList {
  readonly services: ReadonlySet<string>;
  view: EndpointView | null = null;
  checkedAt = -1;

  constructor(services: Iterable<string>) {
    this.services = new Set(services);
  }
}

/** Endpoint sets and the views made of them, shared by all sidecars that need the same. */
export class EndpointViews {
  readonly #registry: Pick<InstanceRegistry, 'endpoints'>;
  readonly #sets = new Map<string, EncodedSet | null>();
  readonly #lists = new WeakMap<readonly string[], DestinationList>();
  /** Views with items, by the view without them: shared by all sidecars of a subject that see the same. */
  readonly #withItems = new WeakMap<EndpointView, WeakMap<ItemSet, EndpointView>>();
  #generation = 0;

  constructor(registry: Pick<InstanceRegistry, 'endpoints'>) {
    this.#registry = registry;
  }

  /** Reads the sets of these services again; answers those that really differ. */
  refresh(services: Iterable<string>, nowMs: number): Set<string> {
    const changed = new Set<string>();
    for (const service of services) {
      const before = this.#sets.get(service);
      if (before === undefined) continue;
      const now = this.#read(service, nowMs);
      if (now?.hash === before?.hash) continue;
      this.#sets.set(service, now);
      changed.add(service);
    }
    if (changed.size > 0) this.#generation++;
    return changed;
  }

  /** One list per array of a compiled subject, so that its sidecars share views. */
  listOf(destinations: readonly string[]): DestinationList {
    let list = this.#lists.get(destinations);
    if (!list) {
      list = new DestinationList(destinations);
      this.#lists.set(destinations, list);
    }
    return list;
  }

  setOf(service: string, nowMs: number): EncodedSet | null {
    const known = this.#sets.get(service);
    if (known !== undefined) return known;
    const set = this.#read(service, nowMs);
    this.#sets.set(service, set);
    return set;
  }

  viewOf(list: DestinationList, items: ItemSet, nowMs: number): EndpointView {
    const view = this.#endpointsOf(list, nowMs);
    if (items.size === 0) return view;
    let known = this.#withItems.get(view);
    if (!known) this.#withItems.set(view, known = new WeakMap());
    let whole = known.get(items);
    if (!whole) known.set(items, whole = viewOfSets(view.sets, items));
    return whole;
  }

  #endpointsOf(list: DestinationList, nowMs: number): EndpointView {
    if (list.view && list.checkedAt === this.#generation) return list.view;
    list.checkedAt = this.#generation;
    if (list.view && this.#isCurrent(list.view, nowMs)) return list.view;
    list.view = this.#build(list, nowMs);
    return list.view;
  }

  /** Forgets sets of services that nobody is asked about any more. */
  retain(services: ReadonlySet<string>): void {
    for (const service of this.#sets.keys()) {
      if (!services.has(service)) this.#sets.delete(service);
    }
  }

  #read(service: string, nowMs: number): EncodedSet | null {
    const set = this.#registry.endpoints(service);
    if (!set) return null;
    const bytes = EndpointSet.encode(set).finish();
    return { service, set, bytes, hash: contentHash(bytes), sinceMonotonicMs: nowMs };
  }

  #isCurrent(view: EndpointView, nowMs: number): boolean {
    for (const [service, set] of view.sets) {
      if (this.setOf(service, nowMs)?.hash !== set?.hash) return false;
    }
    return true;
  }

  #build(list: DestinationList, nowMs: number): EndpointView {
    const sets = new Map<string, EncodedSet | null>();
    for (const service of [...list.services].sort()) sets.set(service, this.setOf(service, nowMs));
    return viewOfSets(sets);
  }
}

/** A view over sets in order of their services, and items in order of their keys. Without items its hash is that of the sets alone. */
export function viewOfSets(sets: ReadonlyMap<string, EncodedSet | null>, items: ItemSet = noItems): EndpointView {
  let text = '';
  for (const [service, set] of sets) text += `${service} ${set ? set.hash : 'hold'}\n`;
  // Names of items are anything without a slash: quoted, so that no name can look like two.
  for (const [key, item] of items) text += `item ${JSON.stringify(key)} ${item ? item.hash : 'hold'}\n`;
  return { hash: contentHash(text), sets, items };
}
