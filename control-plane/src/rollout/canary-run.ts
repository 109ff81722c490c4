import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { DocumentKey } from '../store/store.ts';
import type { GateAction, GateFinding, GateReason, Measured, RolloutPosition } from './gate-engine.ts';

/**
 * One run of a Canary: what has to be known to go on with it after any crash. Immutable; whatever is done to Routes is written down here
 * before it is done, so that doing it again changes nothing.
 */
export interface CanaryRun {
  readonly name: string;
  /** As it was when the run began; what it says now counts for the next one. */
  readonly document: CanaryDocument;
  readonly startedAtMs: number;
  readonly phase: CanaryPhase;
  /** Index into the steps below 100 percent. */
  readonly step: number;
  /** When the weight of the step came into force, Unix ms; null: not yet. */
  readonly enteredAtMs: number | null;
  readonly paused: boolean;
  readonly order: RolloutPosition['order'];
  /** Whoever gave the order, or paused. */
  readonly orderedBy: string;
  /** The Routes that it moves, as they were before. */
  readonly routes: readonly OriginalRoute[];
  /** What was measured in this step when it was last written down. */
  readonly carried: SidesMeasured;
  readonly verdict: CanaryVerdict | null;
  readonly endedAtMs: number | null;
  /** Why its last write was refused; '': it was not. */
  readonly blocked: string;
  /** The newest last; as many as `decisionsMax`. */
  readonly decisions: readonly CanaryDecision[];
}

/** `completing` and `reverting`: decided, and being written. The last three are ends. */
export type CanaryPhase = 'running' | 'completing' | 'reverting' | 'completed' | 'aborted' | 'failed';

export interface OriginalRoute {
  readonly key: DocumentKey;
  /** null: there was none, and the canary made it. */
  readonly document: JsonObject | null;
}

export interface SidesMeasured {
  readonly candidate: Measured | null;
  readonly stable: Measured | null;
}

export interface CanaryVerdict {
  readonly end: 'completed' | 'aborted' | 'failed';
  readonly sentence: string;
  /** Who aborted it; '': it ended by itself. */
  readonly by: string;
}

/** What was decided, when it was something else than before, and the figures behind it. */
export interface CanaryDecision {
  readonly atMs: number;
  readonly step: number;
  readonly weight: number;
  readonly action: GateAction;
  readonly because: GateReason | 'started' | 'aborted' | 'deleted' | 'restored';
  readonly sentence: string;
  /** Who gave the order behind it; '': nobody had to. */
  readonly by: string;
  readonly findings: readonly GateFinding[];
  readonly candidate: SideFigures | null;
  readonly stable: SideFigures | null;
}

export interface SideFigures {
  readonly requests: number;
  readonly errors: number;
  readonly p99Ms: number;
}

export const decisionsMax = 50;

/** It may change Routes yet, and nobody else may. */
export function isLive({ phase }: CanaryRun): boolean {
  return phase === 'running' || phase === 'completing' || phase === 'reverting';
}

/** The Route of its name is its own: named by nobody, made by the run or one before. */
export function madeItsRoute(run: CanaryRun | null): boolean {
  return run !== null && run.document.routes === undefined;
}

/** As the store keeps it. */
export function runRecord(run: CanaryRun): JsonObject {
  const carried = { candidate: packed(run.carried.candidate), stable: packed(run.carried.stable) };
  return { ...run, format: 1, carried } as unknown as JsonObject;
}

/** null: no build that this one knows wrote it. */
export function readRun(record: JsonObject): CanaryRun | null {
  if (record['format'] !== 1) return null;
  const { format: _, ...run } = record;
  const carried = record['carried'] as JsonObject;
  return { ...run, carried: { candidate: unpacked(carried['candidate']), stable: unpacked(carried['stable']) } } as unknown as CanaryRun;
}

/** Most buckets of a histogram are empty: only the others are kept. */
function packed(measured: Measured | null): Json {
  if (measured === null) return null;
  const latency = Array.from(measured.latency).flatMap((count, bucket) => (count === 0 ? [] : [[bucket, count]]));
  return { requests: measured.requests, errors: measured.errors, latency, buckets: measured.latency.length };
}

function unpacked(value: Json | undefined): Measured | null {
  if (value === null || value === undefined) return null;
  const { requests, errors, latency, buckets } = value as { readonly requests: number; readonly errors: number; readonly latency: readonly (readonly [number, number])[]; readonly buckets: number };
  const counts = Array.from({ length: buckets }, () => 0);
  for (const [bucket, count] of latency) counts[bucket] = count;
  return { requests, errors, latency: counts };
}
