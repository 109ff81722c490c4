import type { Steps } from '@remora/core/steps';
import type { Subject, SubjectKey } from '@remora/core/subject';
import type { Violation } from '@remora/core/violation';
import { createModel } from '@remora/model/model';
import type { Model } from '@remora/model/model';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { WireKind } from '@remora/policy-kit/runtime-kind';
import type { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { checkRegex } from '@remora/router/regex';
import type { SnapshotSummary } from '@remora/snapshot/guards';
import type { DocumentState } from '../resolve/document-state.ts';
import type { Resolver } from '../resolve/resolver.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import type { Compilation } from './compilation.ts';
import { IncrementalPlanner } from './incremental-planner.ts';
import type { StandingContradictions } from './standing-contradictions.ts';

/**
 * From documents to what every sidecar enforces: validation across documents, merging, bounds, compilation, and decoding
 * with the sidecar's own code. Pure: the same documents give the same bytes, whatever was planned before.
 */
export interface Planner {
  /**
   * `documents` is the whole state, `changes` the keys in which it differs from that of `previous`. Only what the changes can touch is computed again. Refused
   * documents leave `previous` as it is. Without a `previous` everything is looked at, and contradictions that others than `changes` have are no reason to refuse.
   */
  plan(previous: Planned | null, documents: ReadonlyMap<DocumentKey, StoredDocument>, changes: Iterable<DocumentKey>): PlanResult;
  /** The same, to be interrupted between documents and between subjects. Plans may take turns. */
  planInSteps(previous: Planned | null, documents: ReadonlyMap<DocumentKey, StoredDocument>, changes: Iterable<DocumentKey>): Steps<PlanResult>;
  /**
   * What else is wrong where some documents of the input are wrong by themselves, so that everything is told at once:
   * `documents` and `changes` without those, `unreadable` their keys. Naming them is no mistake.
   */
  checkInSteps(previous: Planned | null, documents: ReadonlyMap<DocumentKey, StoredDocument>, changes: Iterable<DocumentKey>, unreadable: ReadonlySet<DocumentKey>): Steps<readonly Violation[]>;
}

export type PlanResult =
  | { readonly ok: false; readonly violations: readonly Violation[] }
  | { readonly ok: true; readonly planned: Planned };

/** One state of the documents, understood. Immutable. */
export interface Planned {
  readonly documents: ReadonlyMap<DocumentKey, StoredDocument>;
  readonly compilation: Compilation;
  /** Subjects whose hash differs from `previous`, new and removed ones included. */
  readonly changed: ReadonlySet<SubjectKey>;
  /** Answers what holds where, and why. */
  readonly resolver: Resolver;
  /** Static endpoints by service; services without any are absent. */
  readonly staticEndpoints: ReadonlyMap<string, EndpointSet>;
  /** Guards that stepping from `previous` to this would trip; empty without `previous`. Refuse unless forced. */
  readonly guards: readonly GuardFinding[];
  /** What documents of earlier builds have against each other, enforced all the same. */
  readonly contradictions: StandingContradictions;
  /** The documents, indexed. */
  readonly state: DocumentState;
  /** What guards look at, by subject. */
  readonly summaries: ReadonlyMap<SubjectKey, SnapshotSummary>;
}

export interface GuardFinding {
  /** `empties-routes`, `loses-routes` …, as in libs/snapshot/guards.ts. */
  readonly guard: string;
  readonly subject: Subject;
  /** One sentence with the figures. */
  readonly message: string;
}

export interface PlannerOptions {
  /** Kinds that can be written, by section name (`kinds.ts`). */
  readonly kinds: ReadonlyMap<string, AuthoringKind>;
  /** Their decoders, as sidecars run them. */
  readonly wireKinds: ReadonlyMap<string, WireKind<unknown>>;
  /** Over the same kinds; documents it has found valid are not checked again. Default: one of its own. */
  readonly model?: Model;
}

export function createPlanner({ kinds, wireKinds, model = createModel({ kinds, checkRegex }) }: PlannerOptions): Planner {
  return new IncrementalPlanner({ model, kinds, wireKinds });
}
