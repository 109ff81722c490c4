import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { Endpoint, type EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { promptPace, RecordWriter, type RecordStore, type WrittenRecords } from '../push/record-writer.ts';
import { ChangeNotices } from './change-notices.ts';
import { placeOf, resolvedStatic, withoutAnnounced, type FoundEndpoints } from './found-endpoints.ts';
import type { InstanceLease, InstanceRegistry, ListedEndpoint } from './instance-registry.ts';
import { defaultLeaseLimits, type LeaseLimits } from './lease-limits.ts';

export interface InstanceRegistryDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly store: RecordStore & { nextFence(): number };
  readonly limits?: Partial<LeaseLimits>;
  readonly onStoreError?: (error: unknown) => void;
}

/** A registry with an end. */
export interface RunningInstanceRegistry extends InstanceRegistry {
  /** What status and metrics show. */
  counts(): { readonly leases: number; readonly suspect: number; readonly draining: number };
  close(): void;
}

/** Loads the leases that were known before; none of them ends within the grace after the start. */
export function createInstanceRegistry(deps: InstanceRegistryDeps): RunningInstanceRegistry {
  return new LeaseRegistry(deps);
}

const namespace = 'instances';
const sweepEveryMs = 1_000;

interface Held {
  lease: InstanceLease;
  /** Null while its stream is open. */
  endsAtMs: number | null;
  draining: boolean;
  suspectSinceMs: number | null;
  /** Unix ms. */
  readonly announcedAtMs: number;
}

class LeaseRegistry implements RunningInstanceRegistry {
  readonly #clock: Clock;
  readonly #limits: LeaseLimits;
  readonly #writer: RecordWriter;
  readonly #written: WrittenRecords;
  readonly #notices: ChangeNotices;
  readonly #sweeper: Timer;
  readonly #startedAtMs: number;
  readonly #fence: number;
  readonly #leases = new Map<string, Held>();
  readonly #byService = new Map<string, Map<string, Held>>();
  /** When instances of a service expired lately, oldest first. */
  readonly #expired = new Map<string, number[]>();
  /** Services of which an instance was ready, before or since the start: what is gone of them is really gone. */
  readonly #known = new Set<string>();
  /** Services that were asked for while nothing was known of them. */
  readonly #unknown = new Set<string>();
  #static: ReadonlyMap<string, EndpointSet> = new Map();
  readonly #found = new Map<string, FoundEndpoints>();
  /** Places of leases that ended, by service, and until when (monotonic ms) what another source finds there is still taken for them. */
  readonly #ended = new Map<string, Map<string, number>>();
  #staticChanges = new Set<string>();
  #counter = 0;
  #lastSweepMs: number;

  constructor(deps: InstanceRegistryDeps) {
    this.#clock = deps.clock;
    this.#limits = { ...defaultLeaseLimits, ...deps.limits };
    this.#writer = new RecordWriter({ store: deps.store, timers: deps.timers, onError: (error) => deps.onStoreError?.(error), pace: promptPace });
    this.#written = this.#writer.records(namespace, (nodeId) => this.#read(nodeId));
    this.#notices = new ChangeNotices({ clock: deps.clock, timers: deps.timers, windowMs: this.#limits.coalesceMs });
    this.#startedAtMs = deps.clock.monotonicMs();
    this.#lastSweepMs = this.#startedAtMs;
    this.#fence = deps.store.nextFence();
    for (const record of deps.store.records(namespace).values()) this.#load(record);
    this.#sweeper = deps.timers.every(sweepEveryMs, () => this.#sweep());
  }

  endpoints(service: string): EndpointSet | null {
    const found = this.#found.get(service);
    if (this.#isOpen(service, found)) {
      this.#unknown.add(service);
      return null;
    }
    const endpoints = [...resolvedStatic(this.#static.get(service), found?.names), ...this.#foundBeside(service, found)];
    for (const held of this.#byService.get(service)?.values() ?? []) if (held.lease.ready) endpoints.push(endpointOf(held));
    return { service, endpoints: endpoints.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, this.#limits.instancesPerServiceMax) };
  }

  version(): { fence: number; counter: number } {
    return { fence: this.#fence, counter: this.#counter };
  }

  onChange(listener: (services: ReadonlySet<string>) => void): () => void {
    return this.#notices.listen(listener);
  }

  setStatic(endpoints: ReadonlyMap<string, EndpointSet>): void {
    const before = this.#static;
    this.#static = endpoints;
    for (const service of new Set([...before.keys(), ...endpoints.keys()])) {
      if (sameSet(before.get(service), endpoints.get(service))) continue;
      this.#staticChanges.add(service);
      this.#touch(service);
    }
  }

  setFound(service: string, found: FoundEndpoints | null): void {
    if (found === null ? !this.#found.delete(service) : this.#found.get(service) === found) return;
    if (found !== null) this.#found.set(service, found);
    this.#touch(service);
  }

  listed(service: string): readonly ListedEndpoint[] {
    const found = this.#found.get(service);
    const asked = [...resolvedStatic(this.#static.get(service), found?.names), ...this.#foundBeside(service, found)].map((endpoint) => ({ endpoint, ready: true, announcedAtMs: null, connected: null }));
    const leased = [...(this.#byService.get(service)?.values() ?? [])].map((held) => ({ endpoint: endpointOf(held), ready: held.lease.ready, announcedAtMs: held.announcedAtMs, connected: held.endsAtMs === null }));
    return [...asked, ...leased].sort((a, b) => (a.endpoint.id < b.endpoint.id ? -1 : 1));
  }

  takeStaticChanges(): ReadonlySet<string> {
    const changes = this.#staticChanges;
    this.#staticChanges = new Set();
    return changes;
  }

  renew(lease: InstanceLease): void {
    const held = this.#leases.get(lease.nodeId);
    if (held && held.lease.service !== lease.service) this.#remove(held);
    const known = this.#leases.get(lease.nodeId);
    if (!known) {
      this.#add({ lease, endsAtMs: null, draining: false, suspectSinceMs: null, announcedAtMs: this.#clock.wallMs() });
      return;
    }
    const before = JSON.stringify(endpointOf(known)) + String(known.lease.ready);
    const wasDetached = known.endsAtMs !== null;
    if (known.lease.incarnation !== lease.incarnation) known.draining = false;
    known.lease = lease;
    if (lease.ready) this.#known.add(lease.service);
    known.endsAtMs = null;
    known.suspectSinceMs = null;
    const changed = JSON.stringify(endpointOf(known)) + String(lease.ready) !== before;
    if (changed) this.#touch(lease.service);
    if (changed || wasDetached) this.#written.put(lease.nodeId);
  }

  drain(nodeId: string): void {
    const held = this.#leases.get(nodeId);
    if (!held || held.draining) return;
    held.draining = true;
    this.#touch(held.lease.service);
    this.#written.put(nodeId);
  }

  detach(nodeId: string): void {
    const held = this.#leases.get(nodeId);
    if (!held) return;
    // It said that it leaves, and it left: there is nothing to wait for.
    if (held.draining || !held.lease.ready) return this.#remove(held);
    held.endsAtMs = Math.max(this.#clock.monotonicMs() + this.#limits.restMs, this.#startedAtMs + this.#limits.graceMs);
  }

  counts(): { leases: number; suspect: number; draining: number } {
    let suspect = 0;
    let draining = 0;
    for (const held of this.#leases.values()) {
      if (held.suspectSinceMs !== null) suspect++;
      if (held.draining) draining++;
    }
    return { leases: this.#leases.size, suspect, draining };
  }

  close(): void {
    this.#sweeper.cancel();
    this.#notices.close();
    this.#writer.flush();
  }

  /**
   * Nothing may be said of a service yet: right after a start "no instance known" may only mean that they have not come back, and a source that has
   * never answered may feed most of it.
   */
  #isOpen(service: string, found: FoundEndpoints | undefined): boolean {
    const starting = this.#clock.monotonicMs() - this.#startedAtMs < this.#limits.graceMs;
    if (found && !found.known) return starting || (!this.#static.has(service) && !this.#byService.has(service));
    return !found && !this.#static.has(service) && !this.#known.has(service) && starting;
  }

  #foundBeside(service: string, found: FoundEndpoints | undefined): readonly Endpoint[] {
    if (!found || found.endpoints.length === 0) return [];
    const announced = new Set(this.#ended.get(service)?.keys());
    for (const { lease } of this.#byService.get(service)?.values() ?? []) for (const { host, port } of lease.ports) announced.add(placeOf(host, port));
    return announced.size === 0 ? found.endpoints : withoutAnnounced(found.endpoints, announced);
  }

  #sweep(): void {
    const now = this.#clock.monotonicMs();
    const late = now - this.#lastSweepMs - sweepEveryMs;
    this.#lastSweepMs = now;
    if (late > this.#limits.stallMs) this.#postpone(late);
    if (this.#unknown.size > 0 && now - this.#startedAtMs >= this.#limits.graceMs) this.#settleUnknown();
    const due = new Map<string, Held[]>();
    for (const held of this.#leases.values()) {
      if (held.endsAtMs === null || now < held.endsAtMs) continue;
      const { service } = held.lease;
      due.set(service, [...(due.get(service) ?? []), held]);
    }
    for (const [service, held] of due) this.#expire(service, held, now);
    this.#forgetEnded(now);
    for (const [service, times] of this.#expired) {
      const recent = times.filter((time) => now - time < this.#limits.windowMs);
      if (recent.length > 0) this.#expired.set(service, recent);
      else this.#expired.delete(service);
    }
  }

  #forgetEnded(now: number): void {
    for (const [service, places] of this.#ended) {
      const before = places.size;
      for (const [place, untilMs] of places) if (now >= untilMs) places.delete(place);
      if (places.size < before) this.#touch(service);
      if (places.size === 0) this.#ended.delete(service);
    }
  }

  /** The grace is over: services without any instance have none. */
  #settleUnknown(): void {
    for (const service of this.#unknown) this.#touch(service);
    this.#unknown.clear();
    this.#known.clear();
  }

  #postpone(lateMs: number): void {
    for (const held of this.#leases.values()) if (held.endsAtMs !== null) held.endsAtMs += lateMs;
  }

  /** Losing most instances at once is more likely an error of ours, or of the network, than their death. */
  #expire(service: string, due: readonly Held[], now: number): void {
    const present = this.#byService.get(service)?.size ?? 0;
    const gone = this.#expired.get(service) ?? [];
    const tooMany = due.length + gone.length > (present + gone.length) * this.#limits.expiringShareMax;
    for (const held of due) {
      if (held.suspectSinceMs !== null ? now - held.suspectSinceMs >= this.#limits.suspectForMs : !tooMany) {
        gone.push(now);
        this.#remove(held);
      } else if (held.suspectSinceMs === null) {
        held.suspectSinceMs = now;
        held.endsAtMs = now + this.#limits.suspectForMs;
        this.#touch(service);
      }
    }
    if (gone.length > 0) this.#expired.set(service, gone);
  }

  #load(record: JsonObject): void {
    const lease = readLease(record);
    if (!lease) return;
    const endsAtMs = this.#startedAtMs + this.#limits.graceMs;
    const { draining, announcedAtMs } = record;
    this.#insert({ lease, endsAtMs, draining: draining === true, suspectSinceMs: null, announcedAtMs: typeof announcedAtMs === 'number' ? announcedAtMs : this.#clock.wallMs() });
  }

  #add(held: Held): void {
    this.#insert(held);
    this.#touch(held.lease.service);
    this.#written.put(held.lease.nodeId);
  }

  #insert(held: Held): void {
    const { nodeId, service } = held.lease;
    if (held.lease.ready) this.#known.add(service);
    this.#leases.set(nodeId, held);
    const siblings = this.#byService.get(service) ?? new Map<string, Held>();
    this.#byService.set(service, siblings.set(nodeId, held));
  }

  #remove(held: Held): void {
    const { nodeId, service } = held.lease;
    this.#leases.delete(nodeId);
    const siblings = this.#byService.get(service);
    siblings?.delete(nodeId);
    if (siblings?.size === 0) this.#byService.delete(service);
    this.#rememberEnded(held.lease);
    this.#touch(service);
    this.#written.put(nodeId);
  }

  /** Only where another source could still name it. */
  #rememberEnded({ service, ports }: InstanceLease): void {
    if (!this.#found.has(service)) return;
    const places = this.#ended.get(service) ?? new Map<string, number>();
    for (const { host, port } of ports) {
      if (places.size < this.#limits.instancesPerServiceMax) places.set(placeOf(host, port), this.#clock.monotonicMs() + this.#limits.suspectForMs);
    }
    this.#ended.set(service, places);
  }

  #touch(service: string): void {
    this.#counter++;
    this.#notices.add(service);
  }

  #read(nodeId: string): JsonObject | null {
    const held = this.#leases.get(nodeId);
    return held ? { ...held.lease, ports: held.lease.ports.map((port) => ({ ...port })), draining: held.draining, announcedAtMs: held.announcedAtMs } : null;
  }
}

function endpointOf({ lease, draining, suspectSinceMs }: Held): Endpoint {
  return {
    id: lease.nodeId,
    ports: lease.ports.map((port) => ({ ...port, protocols: [] })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    labels: Object.keys(lease.labels).sort().map((key) => ({ key, value: lease.labels[key] ?? '' })),
    locality: lease.locality,
    weight: 1,
    backup: false,
    suspect: suspectSinceMs !== null,
    draining,
    protocols: [...lease.protocols],
    mtls: lease.mtls,
    source: 'lease',
  };
}

function sameSet(a: EndpointSet | undefined, b: EndpointSet | undefined): boolean {
  if (a === b || !a || !b) return a === b;
  return a.endpoints.length === b.endpoints.length && JSON.stringify(a) === JSON.stringify(b);
}

/** Records are written by this class; one of another shape is left out: the instance announces itself again. */
function readLease(record: JsonObject): InstanceLease | null {
  const { nodeId, service, ports, labels } = record as Partial<Record<keyof InstanceLease, unknown>>;
  if (typeof nodeId !== 'string' || typeof service !== 'string' || !Array.isArray(ports) || typeof labels !== 'object' || labels === null) return null;
  return record as unknown as InstanceLease;
}
