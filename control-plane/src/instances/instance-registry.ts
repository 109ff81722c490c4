import type { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

/**
 * Where the instances of every service are, from all sources: leases of sidecars, and the static endpoints of Service
 * documents. Feeds the state lane; changes are coalesced.
 */
export interface InstanceRegistry {
  /** Null: nothing is known yet (hold); an empty set means there are none. */
  endpoints(service: string): EndpointSet | null;
  /** Grows with each change of any set. */
  version(): { readonly fence: number; readonly counter: number };
  /** Services whose set changed, coalesced: the first change at once, what follows within 100 ms together. */
  onChange(listener: (services: ReadonlySet<string>) => void): () => void;
  /**
   * Static endpoints, from the Service documents of a compilation. Call it before `PushHub.publish` of the same entry: then
   * callers get them before the configuration that needs them, and `wait=applied` covers them.
   */
  setStatic(endpoints: ReadonlyMap<string, EndpointSet>): void;
  /** Services whose static endpoints changed since this was asked last. */
  takeStaticChanges(): ReadonlySet<string>;
  /** Announces or renews a sidecar's instance; `ready` says whether it may be called. */
  renew(lease: InstanceLease): void;
  /** The instance is leaving: callers stop choosing it. */
  drain(nodeId: string): void;
  /** The stream ended; the lease goes on for its rest. */
  detach(nodeId: string): void;
}

export interface InstanceLease {
  readonly nodeId: string;
  /** A newer one ends the draining of an older one. */
  readonly incarnation: number;
  readonly service: string;
  readonly ports: readonly { readonly name: string; readonly host: string; readonly port: number; readonly plaintext?: true }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: string;
  readonly protocols: readonly string[];
  readonly mtls: boolean;
  /** Snapshot applied and app ready. */
  readonly ready: boolean;
}
