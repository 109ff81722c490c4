import type { SubjectKey } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { Compilation } from '../compile/compilation.ts';
import type { Grant } from '../store/store.ts';

/**
 * Brings every connected sidecar to the newest compilation, and knows from their own words what each enforces.
 * The write path calls `publish` after the entry is durable, in the order of the log.
 */
export interface PushHub {
  publish(update: PublishedUpdate): void;
  /** Sidecars (connected, or remembered) as status shows them. */
  sidecars(): readonly SidecarStatus[];
  sidecar(nodeId: string): SidecarStatus | null;
  /** What the sidecars of one log entry did with it, also before a restart; the set is fixed at commit. Null: not known any more. */
  enforcement(index: number): Enforcement | null;
  /** Resolves when every sidecar of the set has resolved, at the first refusal, or at the timeout. */
  waitApplied(index: number, timeoutMs: number): Promise<Enforcement>;
  /**
   * Who has what is wanted now of one kind of item of the state lane (`consumers`, `secret`, `revocations`, `trustBundle`): sidecars that need it, and those out
   * of contact, which may still serve with what they had. Resolves when nobody is pending, at the first refusal, or at the timeout (0: at once).
   */
  waitItems(kind: string, timeoutMs: number): Promise<ItemEnforcement>;
  /** Asks a sidecar; bounded in time and size. Rejects with code `offline` or `timeout`. */
  ask(nodeId: string, question: { readonly why: string } | { readonly what: string; readonly request?: string }, timeoutMs: number): Promise<unknown>;
  /** Asks all connected ones at once; those that do not answer are named. */
  askAll(question: { readonly why: string }, timeoutMs: number): Promise<{ readonly answers: ReadonlyMap<string, unknown>; readonly silent: readonly string[] }>;
  onEvent(listener: (event: PushEvent) => void): () => void;
}

export interface PublishedUpdate {
  readonly version: Version;
  readonly compilation: Compilation;
  /** Subjects whose hash differs from the compilation before. */
  readonly changed: ReadonlySet<SubjectKey>;
  readonly grants: readonly Grant[];
  /** Wall ms when the entry was durable: propagation is measured from here. */
  readonly committedAtMs: number;
}

export interface LaneStatus {
  readonly desired: Version;
  readonly desiredHash: string;
  readonly applied: Version;
  readonly appliedHash: string;
  readonly inSync: boolean;
  readonly persisted: boolean;
  /** Milliseconds since desired and applied differ; 0 when in sync. */
  readonly lagMs: number;
}

export interface SidecarStatus {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly subject: SubjectKey;
  readonly connected: boolean;
  readonly authenticated: boolean;
  /** Hash of the item with the roots of trust that it acknowledged last; '' where that is not known. */
  readonly trustBundle: string;
  /** Serial number of the certificate that its stream was opened with; '' without one. */
  readonly certificate: string;
  readonly connectedSince: string | null;
  readonly lastSeen: string;
  /** Set while it is not connected, or said itself that it served without contact. */
  readonly staleSince: string | null;
  readonly address: string;
  readonly locality: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly build: { readonly version: string; readonly format: number; readonly id: string; readonly kinds: Readonly<Record<string, number>> };
  readonly config: LaneStatus;
  readonly state: LaneStatus;
  readonly lastRefusal: RefusalStatus | null;
  readonly clockOffsetMs: number;
  readonly rssBytes: number;
  readonly cpuShare: number;
  readonly stallMs: number;
  readonly appReady: boolean;
  /** Why it is not; absent where nothing was told. */
  readonly appProblem?: string;
  readonly warming: readonly string[];
  /** Since the keys of issuers were fetched, by issuer; absent where there are none. */
  readonly keyAgeSeconds?: Readonly<Record<string, number>>;
  /** It said that it stops before its stream ended: nothing serves there any more. Absent otherwise. */
  readonly left?: true;
  readonly phase: 'in-sync' | 'pending' | 'refused' | 'offline' | 'orphaned' | 'draining';
  /** Callers that had not confirmed in time that this instance left, sorted, at most 256; absent where all had. */
  readonly stragglers?: readonly string[];
}

export interface RefusalStatus {
  readonly version: Version;
  readonly hash: string;
  readonly at: string;
  readonly lane: 'config' | 'state';
  readonly class: 'invalid' | 'guard' | 'resync' | 'transient';
  readonly errors: readonly { readonly resource: string; readonly kind: string; readonly pointer: string; readonly code: string; readonly message: string; readonly policies: readonly string[] }[];
}

export interface Enforcement {
  readonly version: Version;
  /** Everything resolved: no `pending` left. */
  readonly done: boolean;
  /** Always whole. */
  readonly counts: EnforcementCounts;
  /** Refused, pending, offline, superseded, applied; by node id among themselves. */
  readonly sidecars: readonly EnforcementOf[];
  /** Whether every sidecar that is counted is listed: those of older entries that applied them are not. */
  readonly complete: boolean;
  /** Milliseconds from commit to the last applied; 0 where none. */
  readonly elapsedMs: number;
}

/** As Enforcement, of what no entry of the log has: items of the state lane, as they are now. */
export interface ItemEnforcement {
  readonly kind: string;
  /** No `pending` left. */
  readonly done: boolean;
  readonly counts: Omit<EnforcementCounts, 'superseded'>;
  /** All of them: refused, pending, offline, applied; by node id among themselves. */
  readonly sidecars: readonly EnforcementOf[];
  /** Milliseconds from the question to the last that applied; 0 where all had it. */
  readonly elapsedMs: number;
}

export interface EnforcementCounts {
  readonly total: number;
  readonly applied: number;
  readonly pending: number;
  readonly refused: number;
  readonly offline: number;
  readonly superseded: number;
}

export interface EnforcementOf {
  readonly nodeId: string;
  readonly subject: SubjectKey;
  readonly outcome: 'applied' | 'pending' | 'refused' | 'offline' | 'superseded';
  readonly elapsedMs: number;
  readonly refusal: RefusalStatus | null;
}

export type PushEvent =
  | { readonly type: 'sidecar-connected' | 'sidecar-disconnected' | 'sidecar-refused' | 'sidecar-in-sync'; readonly at: string; readonly nodeId: string; readonly subject: SubjectKey; readonly version: Version; readonly detail: string }
  | { readonly type: 'revision-enforced' | 'revision-refused'; readonly at: string; readonly version: Version; readonly detail: string };
