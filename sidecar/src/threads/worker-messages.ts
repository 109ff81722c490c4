import type { FactUpdate } from '@remora/policy-kit/facts';
import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { TlsMaterial } from '../tls/tls-material.ts';
import type { GrantedEndpoints } from '../upstream/host-slots.ts';
import type { BoundListener, ListenerSpec, PrepareResult, RequestQuestion } from './data-plane.ts';
import type { ResourcePack } from '../generation/resource-pack.ts';
import type { TapAnswer, TapAsk } from '../pipeline/request-taps.ts';
import type { HealthReport } from '../records/health-batch.ts';
import type { RefusalReport } from '../records/refusal-batch.ts';
import type { SeriesName } from '../records/series-rows.ts';
import type { MemoryGrant, MemoryWish } from '../generation/shared-memories.ts';

/** What a data worker is started with. */
export interface WorkerStart {
  readonly program: 'remora-data-worker';
  readonly index: number;
  /** Data threads of the sidecar. */
  readonly threads: number;
  readonly nodeId: string;
  readonly withoutKinds: readonly string[];
  readonly reusePort: boolean;
  readonly connectionsMax: number;
  /** Where policies may log to files; '' for nowhere. */
  readonly logFolder: string;
  /** Several threads share the counts of policies. */
  readonly sharesMemory: boolean;
  /** Origin of the monotonic time of all data threads. */
  readonly monotonicOriginMs: number;
  /** Where spans of requests go; null where they are not recorded. */
  readonly spans: { readonly memory: SharedArrayBuffer; readonly ratio: number } | null;
  /** Rows of this worker (series-rows.ts). */
  readonly seriesMemory: SharedArrayBuffer;
  /** [0]: longest stall of the event loop in milliseconds since the control thread last took it; [1]: stage of overload. */
  readonly vitalsMemory: SharedArrayBuffer;
  /** Bytes that the process may use; 0: what the container allows, where it says. */
  readonly memoryLimitBytes: number;
  /** Of `HostStates`. */
  readonly hostsMemory: SharedArrayBuffer;
  /** Of this sidecar. */
  readonly locality: string;
}

/** A candidate without the resources that the worker has. */
export interface CandidateParts {
  readonly subject: Subject;
  readonly version: Version;
  readonly hash: string;
  /** The manifest under `hash`, then everything it reaches: see resource-pack.ts. */
  readonly packs: readonly ResourcePack[];
}

export type WorkerRequest =
  | { readonly op: 'listen'; readonly specs: readonly ListenerSpec[] }
  | { readonly op: 'prepare'; readonly candidate: CandidateParts }
  | { readonly op: 'swap'; readonly hash: string; readonly version: Version }
  | { readonly op: 'discard'; readonly hash: string }
  | { readonly op: 'relabel'; readonly version: Version }
  | { readonly op: 'endpoints'; readonly update: GrantedEndpoints }
  | { readonly op: 'tls'; readonly material: TlsMaterial }
  | { readonly op: 'facts'; readonly update: FactUpdate }
  /** To a question of a filter; null: there is none. */
  | { readonly op: 'answer'; readonly question: number; readonly body: Uint8Array | null }
  | { readonly op: 'explain'; readonly question: RequestQuestion }
  | { readonly op: 'tap'; readonly ask: TapAsk }
  /** Taps that nobody looks at any more end. */
  | { readonly op: 'sweepTaps' }
  | { readonly op: 'describe' }
  | { readonly op: 'drain'; readonly deadlineMs: number }
  | { readonly op: 'close' }
  /** What these rows counted is kept: they may be used again. */
  | { readonly op: 'reuseSeries'; readonly rows: readonly number[] }
  /** Answers a wish for memory. */
  | { readonly op: 'memory'; readonly grants: readonly MemoryGrant[] }
  /** Answers at once: everything the worker posted before has then arrived. */
  | { readonly op: 'flush' };

/** What each request is answered with. */
export interface WorkerAnswers {
  readonly listen: readonly BoundListener[];
  readonly prepare: PrepareResult;
  /** `memories`: ids of the shared memory that the thread uses from now on. */
  readonly swap: { readonly warming: readonly string[]; readonly memories: readonly string[] };
  readonly discard: null;
  readonly relabel: null;
  readonly endpoints: null;
  readonly tls: null;
  readonly facts: null;
  readonly answer: null;
  readonly explain: object;
  readonly tap: TapAnswer | null;
  readonly sweepTaps: null;
  readonly describe: object;
  readonly drain: number;
  readonly close: null;
  readonly reuseSeries: null;
  readonly memory: null;
  readonly flush: null;
}

/** Of a request that nobody waits for the answer of: there is none. */
export const toldId = -1;

export interface ToWorker {
  readonly id: number;
  readonly request: WorkerRequest;
}

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }
  | { readonly kind: 'refusals'; readonly report: RefusalReport }
  | { readonly kind: 'health'; readonly report: HealthReport }
  /** Of a filter to the control thread. */
  | { readonly kind: 'question'; readonly question: number; readonly topic: string; readonly body: Uint8Array }
  | { readonly kind: 'memory'; readonly wishes: readonly MemoryWish[] }
  /** Rows from `from` on have these names. */
  | { readonly kind: 'series'; readonly from: number; readonly names: readonly SeriesName[] }
  /** Rows that are read once more, and then given back by `reuseSeries`. */
  | { readonly kind: 'seriesReleased'; readonly rows: readonly number[] };
