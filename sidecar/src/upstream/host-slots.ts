import type { Clock } from '@remora/core/clock';
import { HostStates, hostSlotsMax, noSlot } from '@remora/policy-kit/host-states';
import { decodeEndpointSet, type EndpointPort, type EndpointSet, type ServiceEndpoint } from '@remora/snapshot/decode-endpoints';
import { ClusterHost } from './cluster-host.ts';

/** A port of an endpoint, as the control thread knows it. The same object for as long as sets name it. */
export interface KnownHost {
  readonly service: string;
  readonly port: string;
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  /** Row in `HostStates`; `noSlot` where all are taken. */
  readonly slot: number;
  /** Monotonic milliseconds; no two hosts have the same. */
  readonly since: number;
  /** As the last set has it. */
  readonly endpoint: ServiceEndpoint;
  readonly at: EndpointPort;
}

/** What the control thread knows of hosts: for active checks, for ejections by hand, for people who ask. */
export interface HostDirectory {
  readonly states: HostStates;
  services(): Iterable<string>;
  /** In the order of the set; none where the service is unknown. */
  of(service: string): readonly KnownHost[];
  /** Told the service whose hosts have changed, before data threads hear of it. Answers how to stop. */
  onChange(listener: (service: string) => void): () => void;
}

/** An endpoint set as data threads take it: with the slots of its hosts, in the order of its endpoints and their ports. */
export interface GrantedSet {
  readonly bytes: Uint8Array;
  readonly slots: Int32Array;
  readonly since: Float64Array;
}

export interface GrantedEndpoints {
  readonly sets: readonly GrantedSet[];
  readonly removed: readonly string[];
}

/**
 * Assigns the rows of `HostStates`, on the control thread: a host keeps its slot for as long as sets name it, whatever becomes of data threads. Slots
 * of hosts that are gone are cleared and used again when every data thread has taken a set without them (`release`).
 */
export class HostSlots implements HostDirectory {
  readonly memory: SharedArrayBuffer;
  readonly states: HostStates;
  readonly #clock: Clock;
  readonly #services = new Map<string, ServiceHosts>();
  readonly #free: number[] = [];
  readonly #listeners = new Set<(service: string) => void>();
  #leaving: number[] = [];
  #used = 0;
  #lastSince = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.memory = new SharedArrayBuffer(HostStates.bytes());
    this.states = new HostStates(this.memory);
  }

  /** What threads are told. Sets that cannot be read are left out: hold what is known. */
  grant(update: { readonly sets: readonly Uint8Array[]; readonly removed: readonly string[] }): GrantedEndpoints {
    const sets = update.sets.flatMap((bytes) => {
      const decoded = decodeEndpointSet(bytes);
      return decoded.ok ? [this.#grantSet(decoded.set, bytes)] : [];
    });
    for (const service of update.removed) this.#forget(service);
    return { sets, removed: update.removed };
  }

  /** Everything, for a thread that comes later. */
  all(): GrantedEndpoints {
    return { sets: [...this.#services.values()].map(({ granted }) => granted), removed: [] };
  }

  /** Slots of hosts that have left since the last call: to be given to `release` when every thread has taken what was granted. */
  takeLeaving(): readonly number[] {
    const leaving = this.#leaving;
    this.#leaving = [];
    return leaving;
  }

  release(slots: readonly number[]): void {
    for (const slot of slots) {
      this.states.clear(slot);
      this.#free.push(slot);
    }
  }

  services(): Iterable<string> {
    return this.#services.keys();
  }

  of(service: string): readonly KnownHost[] {
    return this.#services.get(service)?.hosts ?? [];
  }

  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #grantSet({ service, endpoints }: EndpointSet, bytes: Uint8Array): GrantedSet {
    const before = this.#services.get(service)?.byKey;
    const byKey = new Map<string, SlottedHost>();
    for (const endpoint of endpoints) {
      for (const [port, at] of endpoint.ports) {
        const key = ClusterHost.key(port, endpoint.id, at);
        const known = before?.get(key);
        before?.delete(key);
        byKey.set(key, known === undefined ? this.#admit(service, port, endpoint, at) : this.#keep(known, endpoint, at));
      }
    }
    for (const { slot } of before?.values() ?? []) this.#leave(slot);
    const hosts = [...byKey.values()];
    const granted = { bytes, slots: Int32Array.from(hosts, ({ slot }) => slot), since: Float64Array.from(hosts, ({ since }) => since) };
    this.#services.set(service, { byKey, hosts, granted });
    this.#tell(service);
    return granted;
  }

  #admit(service: string, port: string, endpoint: ServiceEndpoint, at: EndpointPort): SlottedHost {
    this.#lastSince = Math.max(this.#clock.monotonicMs(), this.#lastSince + sinceStepMs);
    return { service, port, id: endpoint.id, address: `${at.host}:${at.port}`, slot: this.#takeSlot(), since: this.#lastSince, endpoint, at };
  }

  #keep(known: SlottedHost, endpoint: ServiceEndpoint, at: EndpointPort): SlottedHost {
    known.endpoint = endpoint;
    known.at = at;
    if (known.slot === noSlot) known.slot = this.#takeSlot();
    return known;
  }

  /** Those that have been free for the longest time first: whoever still writes to a row of a host that is gone has had time to end. */
  #takeSlot(): number {
    if (this.#used < hostSlotsMax) return this.#used++;
    return this.#free.shift() ?? noSlot;
  }

  #leave(slot: number): void {
    if (slot !== noSlot) this.#leaving.push(slot);
  }

  #forget(service: string): void {
    for (const { slot } of this.of(service)) this.#leave(slot);
    if (this.#services.delete(service)) this.#tell(service);
  }

  #tell(service: string): void {
    for (const listener of this.#listeners) listener(service);
  }
}

interface ServiceHosts {
  readonly byKey: Map<string, SlottedHost>;
  readonly hosts: readonly SlottedHost[];
  readonly granted: GrantedSet;
}

type SlottedHost = { -readonly [K in keyof KnownHost]: KnownHost[K] };

/** Keeps first sights apart that fall into the same instant of the clock. */
const sinceStepMs = 1 / 1024;
