import type { FactUpdate } from '@remora/policy-kit/facts';
import type { QuestionHandler } from '@remora/policy-kit/questions';
import type { Version } from '@remora/core/version';
import type { Candidate } from '@remora/snapshot/candidate';
import type { TlsMaterial } from '../tls/tls-material.ts';
import type { HostDirectory } from '../upstream/host-slots.ts';
import type { TapAnswer, TapAsk } from '../pipeline/request-taps.ts';
import type { FailureChain } from '../records/failure-chain.ts';
import type { HealthReport } from '../records/health-batch.ts';
import type { SpanRecord } from '../records/span-record.ts';

/**
 * The data threads as the control thread of a sidecar sees them. Two implementations: workers (`worker-data-plane.ts`)
 * and one in the same thread, for the simulator and tests.
 */
export interface DataPlane {
  /** Binds the ports; rejects naming the port that is in use. Answers the ports chosen for 0. */
  listen(listeners: readonly ListenerSpec[]): Promise<readonly BoundListener[]>;
  /**
   * Builds the pipelines of the candidate beside the current one, in every worker. Sends only resources that the workers
   * lack. Never changes what is served. Errors name resource, pointer, code.
   */
  prepare(candidate: Candidate): Promise<PrepareResult>;
  /** Makes the prepared candidate current in every worker, between two turns. Resolves when all have swapped. */
  swap(hash: string, version: Version): Promise<{ readonly warming: readonly string[] }>;
  /** Forgets a prepared candidate. */
  discard(hash: string): void;
  /** The same content under a newer version: only labels change. */
  relabel(version: Version): void;
  /** Applies endpoint sets; `removed` are dropped, services not named keep theirs. Resolves when all workers use them. */
  applyEndpoints(update: EndpointUpdate): Promise<void>;
  /** The hosts of all endpoint sets, with what is known of them: what the control thread writes there holds in all workers from the next choice on. */
  readonly hosts: HostDirectory;
  /** Certificates, keys and authorities by file, and what session tickets are made with: used from the next connection on. Resolves when all workers do. */
  useTlsMaterial(material: TlsMaterial): Promise<void>;
  /** Facts of one kind, for filters and listeners: used from the next request on. Resolves when all workers have them. Kept for workers that come later. */
  useFacts(update: FactUpdate): Promise<void>;
  /** What would happen to a request: JSON for the admin port and Queries. */
  explainRequest(request: RequestQuestion): Promise<object>;
  /** Requests of all workers that ended since the last look; rejects where too many people look already. */
  tap(ask: TapAsk): Promise<TapAnswer>;
  /** Ends taps that nobody looks at any more. */
  sweepTaps(): void;
  /** Pools, connections, endpoints and generations: JSON. */
  describe(): Promise<object>;
  /** Stops accepting, finishes what runs, up to the deadline. Outbound stays open until `close`. */
  drain(deadlineMs: number): Promise<{ readonly cut: number }>;
  close(): Promise<void>;
  /** Refusals, access-log lines and events from the workers. */
  onRefusal(handler: (refusal: RefusalRecord) => void): void;
  /** Failures that this sidecar passed on: answers of 500 and more that others made, and what a fallback stood in for. `reason` is empty. */
  onRelayed(handler: (failure: RefusalRecord) => void): void;
  /** What policies report of destinations and hosts. */
  onHealth(handler: (report: HealthReport) => void): void;
  /** Who answers the questions of filters; without one they get no answer. */
  onQuestion(handler: QuestionHandler): void;
  onWorkerDeath(handler: (worker: number, cause: string) => void): void;
  /** Adds up the rows of all workers: cumulative values of every series. */
  readSeries(): readonly SeriesReading[];
  /** What policy kinds counted, by `kind_event`: cumulative, over all workers. */
  readPolicyEvents(): ReadonlyMap<string, number>;
  /** Requests and connections of callers of the inbound ports, by name (records/caller-names.ts): cumulative, over all workers. */
  readCallers(): ReadonlyMap<string, number>;
  /** How far the worst data thread is overloaded: 0 (not) to 3 (pipeline/overload.ts). */
  overloadStage(): number;
  /** Spans of requests that ended, at most `max`; none where they are not recorded. */
  takeSpans(max: number): readonly SpanRecord[];
  /** Spans that were lost because nobody took the ones before, since the start. */
  droppedSpans(): number;
  /** Longest stall of a data thread since the last call, in milliseconds. */
  takeStallMs(): number;
}

export interface ListenerSpec {
  /** `inbound/http`, `outbound`, `outbound/payments`, `gateway/https`. */
  readonly name: string;
  readonly side: 'inbound' | 'outbound' | 'gateway';
  readonly host: string;
  readonly port: number;
  /** inbound: port name. gateway: listener name. outbound: the one destination, where the port is for one. */
  readonly portName?: string;
  readonly destination?: string;
  /** inbound: where the app listens. */
  readonly app?: { readonly host: string; readonly port: number };
}

export interface BoundListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export type PrepareResult =
  | { readonly ok: true; readonly buildMs: number }
  | { readonly ok: false; readonly errors: readonly PrepareError[] };

export interface PrepareError {
  readonly resource: string;
  readonly kind: string;
  readonly pointer: string;
  readonly code: string;
  readonly message: string;
  readonly policies: readonly string[];
}

export interface EndpointUpdate {
  readonly full: boolean;
  /** Encoded remora.snapshot.v1.EndpointSet each. */
  readonly sets: readonly Uint8Array[];
  readonly removed: readonly string[];
}

export interface RequestQuestion {
  readonly side: 'inbound' | 'outbound' | 'gateway';
  readonly listener?: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Who would ask; where it is there, the answer says whether they may. */
  readonly as?: AskingAs;
}

/** Everything may be missing. */
export interface AskingAs {
  /** By a certificate of the mesh: `web`, `gateway/edge`, or a SPIFFE id. */
  readonly caller?: string;
  /** As if a credential of this Consumer had been found good. */
  readonly consumer?: string;
  /** Client address; 127.0.0.1 unless told. */
  readonly address?: string;
}

/** The fields of remora.telemetry.v1.Refusal. */
export interface RefusalRecord {
  readonly requestId: string;
  readonly atMs: number;
  readonly side: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly route: string;
  readonly destination: string;
  /** As of a series. */
  readonly target: string;
  readonly status: number;
  readonly reason: string;
  readonly responseFlag: string;
  readonly kind: string;
  readonly pointer: string;
  readonly policy: string;
  readonly configVersion: string;
  readonly configHash: string;
  readonly detail: string;
  readonly clientAddress: string;
  /** '' without a valid `traceparent`. */
  readonly traceId: string;
  readonly shadow: boolean;
  /** Absent where no call was made. */
  readonly chain?: FailureChain;
}

export interface SeriesReading {
  readonly side: string;
  readonly route: string;
  readonly destination: string;
  /** Labels of the target that a Route chose (`version=v2`), sorted, with commas; '': among all instances. */
  readonly target: string;
  readonly requests: number;
  /** Index 0: no status; 1 to 5: classes. */
  readonly statusClasses: readonly number[];
  readonly codes: ReadonlyMap<number, number>;
  /** Calls of gRPC and gRPC-Web by their code, 0 to 16; index 17: codes that gRPC does not have. */
  readonly grpcCodes: readonly number[];
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Bucket counts of the shared exponential layout (libs/telemetry/histogram.ts), and sum and maximum in ms. */
  readonly latency: { readonly counts: readonly number[]; readonly sum: number; readonly max: number };
  readonly refusals: readonly { readonly reason: string; readonly kind: string; readonly policy: string; readonly shadow: boolean; readonly count: number }[];
  readonly retries: number;
  readonly active: number;
  /** WebSockets, other upgrades and TCP connections; messages are of WebSockets. Their bytes are in `bytesIn` and `bytesOut` as they pass. */
  readonly tunnels: { readonly opened: number; readonly active: number; readonly messagesIn: number; readonly messagesOut: number };
  /** Its Route is gone, so it does not change any more. */
  readonly retired?: boolean;
}
