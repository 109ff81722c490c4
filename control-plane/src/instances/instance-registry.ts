import type { Endpoint, EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { FoundEndpoints } from './found-endpoints.ts';

/**
 * Where the instances of every service are, from all sources: leases of sidecars, the static endpoints of Service
 * documents, and what sources that are asked have found. Feeds the state lane; changes are coalesced.
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
  /** What sources that are asked know of a service; null: it has none (any more). */
  setFound(service: string, found: FoundEndpoints | null): void;
  /** Every endpoint that is known of a service, those included that are not given to callers. */
  listed(service: string): readonly ListedEndpoint[];
  /** Announces or renews a sidecar's instance; `ready` says whether it may be called. */
  renew(lease: InstanceLease): void;
  /** The instance is leaving: callers stop choosing it. */
  drain(nodeId: string): void;
  /** The stream ended; the lease goes on for its rest. */
  detach(nodeId: string): void;
}

export interface ListedEndpoint {
  readonly endpoint: Endpoint;
  /** False: its app is not ready, or it has no snapshot yet; callers do not know it. */
  readonly ready: boolean;
  /** Unix ms: when it announced itself first; null for what did not. */
  readonly announcedAtMs: number | null;
  /** Its sidecar has a stream now; null for what has no sidecar. */
  readonly connected: boolean | null;
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
