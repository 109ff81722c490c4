import type { StoredChain, StoredTrouble } from './stored-chain.ts';
import type { PeerFacts } from '@remora/identity/node-identity';
import type { CallerTraffic } from './caller-history.ts';
import type { FleetTotals } from './fleet-totals.ts';
import type { HeldState } from './held-states.ts';
import type { TargetTotals } from './target-totals.ts';
import type { Batch } from '@remora/proto/gen/remora/telemetry/v1/telemetry';

/**
 * What the sidecars report: the last hour of requests at a resolution of 10 s, and their last refusals. Bounded in memory
 * whatever is reported; everything is gone with a restart, because sidecars report cumulative values and go on.
 */
export interface TelemetryHub {
  /** Takes one batch; answers why it cannot be used, or null. */
  ingest(batch: Batch, peer: PeerFacts): string | null;
  /** Totals over a window that ends now, and who called whom. */
  summary(query: TelemetryQuery): TelemetrySummary;
  /** The busiest first. */
  top(query: TopQuery): readonly TopRow[];
  /** Newest first. */
  refusals(query: RefusalQuery): readonly StoredRefusal[];
  /** Failures of a request that sidecars passed on: made by an app, a service without sidecar, or another hop. `reason` is empty. */
  relayed(requestId: string): readonly StoredRefusal[];
  /** Events that sidecars reported (ejections, breakers, alarms), newest first. */
  events(query: { readonly nodeId?: string; readonly sinceMs?: number; readonly limit: number }): readonly StoredEvent[];
  /** What sidecars hold now against a service and its hosts, or against anybody, as they reported within the last 30 s. */
  held(query: { readonly service?: string }): readonly HeldState[];
  /** Who called a service in the last 24 hours, the busiest first. */
  callers(query: { readonly service: string; readonly sinceMs: number }): readonly CallerTraffic[];
  /** Hosts that a service called in the last 24 hours and does not declare, the busiest first. */
  unknownDestinations(query: { readonly service: string; readonly sinceMs: number }): readonly { readonly host: string; readonly requests: number; readonly lastAtMs: number }[];
  /** The last report of each sidecar. */
  reporters(): readonly Reporter[];
  /** Series and refusals kept, and what was dropped because a bound was reached. */
  sizes(): TelemetrySizes;
  /** Sums since the control plane started, for Prometheus. */
  readonly totals: FleetTotals;
  /** The same as callers saw it, by the target of a Route that they chose: what a canary is judged by. */
  readonly targets: TargetTotals;
  close(): void;
}

export interface TelemetryQuery {
  /**
   * Requests as the service's own sidecars saw them (inbound side). With `caller`, as that caller saw them (outbound side).
   * Without service and gateway: all inbound and gateway requests.
   */
  readonly service?: string;
  readonly gateway?: string;
  /** Only this route; '' is the default route. */
  readonly route?: string;
  /** Only this sidecar. */
  readonly nodeId?: string;
  /** `service/web` or `gateway/edge`. */
  readonly caller?: string;
  /** 10 s to 1 h; rounded up to 10 s. Default 60 s. */
  readonly windowMs?: number;
}

export interface TelemetrySummary {
  /** What the numbers cover, in ms: less than asked for right after a start. */
  readonly windowMs: number;
  readonly total: Traffic;
  /** Sorted by requests, most first; at most 1,000. */
  readonly routes: readonly (Traffic & { readonly subject: string; readonly route: string })[];
  readonly instances: readonly (Traffic & { readonly nodeId: string; readonly subject: string })[];
  /** Who calls (or, where a caller is asked for, is called by) it, as the callers saw it. */
  readonly edges: readonly (Traffic & { readonly caller: string; readonly service: string })[];
  readonly refusals: readonly RefusalCount[];
  /** Verdicts of sections in shadow: what they would have refused. */
  readonly shadow: readonly RefusalCount[];
  /** Points of 10 s, oldest first. */
  readonly series: readonly { readonly at: string; readonly requests: number; readonly errors: number; readonly refused: number }[];
}

export interface Traffic {
  readonly requests: number;
  readonly perSecond: number;
  /** 5xx, and requests without a status. */
  readonly errors: number;
  /** 0 to 1. */
  readonly errorShare: number;
  /** Index 0: no status; 1 to 5: classes. */
  readonly statusClasses: readonly number[];
  readonly codes: Readonly<Record<string, number>>;
  /** Calls of gRPC and gRPC-Web by the name of their code: `OK`, `UNAVAILABLE` …, `other`. */
  readonly grpcCodes: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly retries: number;
  /** In progress at the last report. */
  readonly active: number;
}

export interface RefusalCount {
  readonly reason: string;
  readonly kind: string;
  readonly policy: string;
  readonly count: number;
}

export interface TopQuery {
  readonly by: 'subject' | 'route' | 'edge' | 'sidecar';
  /** Default 60 s. */
  readonly windowMs?: number;
  readonly sort?: 'requests' | 'errors' | 'p99';
  /** Default 20, at most 1,000. */
  readonly limit?: number;
}

export interface TopRow extends Traffic {
  /** `service/orders`, `service/orders/list`, `service/web → orders`, `orders-1`. */
  readonly name: string;
  readonly refused: number;
}

export interface RefusalQuery {
  readonly requestId?: string;
  readonly nodeId?: string;
  readonly service?: string;
  readonly gateway?: string;
  readonly reason?: string;
  readonly policy?: string;
  readonly sinceMs?: number;
  /** At most 1,000. */
  readonly limit: number;
}

/** One request that a sidecar refused or could not complete, with where it was. */
export interface StoredRefusal {
  readonly nodeId: string;
  readonly subject: string;
  readonly requestId: string;
  readonly at: string;
  readonly side: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly route: string;
  readonly destination: string;
  readonly status: number;
  readonly reason: string;
  readonly responseFlag: string;
  readonly kind: string;
  readonly pointer: string;
  readonly policy: string;
  readonly configVersion: { readonly epoch: number; readonly index: number };
  readonly configHash: string;
  readonly detail: string;
  readonly clientAddress: string;
  /** '' where the request had no valid trace context. */
  readonly traceId: string;
  readonly shadow: boolean;
  /** null where no call was made, or the sidecar does not say. */
  readonly chain: StoredChain | null;
  /** What the sidecar held against the destination (of its own service, where it refused as the provider): at most 16. */
  readonly held: readonly StoredTrouble[];
}

export interface StoredEvent {
  readonly nodeId: string;
  readonly subject: string;
  readonly at: string;
  readonly type: string;
  readonly message: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface Reporter {
  readonly nodeId: string;
  readonly subject: string;
  readonly incarnation: number;
  readonly lastReport: string;
  readonly series: number;
  /** Batches that the sidecar dropped because it could not send them. */
  readonly droppedBatches: number;
}

export interface TelemetrySizes {
  readonly series: number;
  readonly seriesMax: number;
  readonly overflowedSeries: number;
  /** Reports about targets that found no place: a canary of theirs holds. */
  readonly targetsLeftOut: number;
  readonly refusals: number;
  readonly batches: number;
  readonly rejectedBatches: number;
  readonly historyBytes: number;
  /** Rows that found their slot of 10 s full. */
  readonly droppedRows: number;
}
