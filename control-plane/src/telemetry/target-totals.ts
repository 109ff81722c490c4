import { createHistogram, mergeHistogram } from '@remora/telemetry/histogram';
import { errorsOf, type TrafficCounts } from './traffic-counts.ts';

/**
 * What callers saw of the targets of Routes, over all callers: sums that only grow, since the control plane started. Errors are 5xx and
 * requests that ended without a status (resets, timeouts). Only targets with labels are kept, at most `max` of them; one that nobody
 * reported for an hour gives its place to another. What finds no place is counted, and has no figures: who waits for them holds.
 */
export class TargetTotals {
  /** Reports about targets that found no place. */
  leftOut = 0;
  readonly #max: number;
  /** The least recently reported first. */
  readonly #targets = new Map<string, Kept>();

  constructor(max = targetsMax) {
    this.#max = max;
  }

  /** A caller reported on it, with or without new requests. */
  seen(name: TargetName, nowMs: number): void {
    if (name.target === '' || name.destination === '') return;
    const key = keyOf(name);
    const kept = this.#targets.get(key) ?? this.#make(nowMs);
    if (kept === null) {
      this.leftOut++;
      return;
    }
    kept.reportedAtMs = nowMs;
    this.#targets.delete(key);
    this.#targets.set(key, kept);
  }

  /** Counts that are new; nothing where `seen` found no place. */
  add(name: TargetName, counts: TrafficCounts): void {
    const kept = this.#targets.get(keyOf(name));
    if (kept === undefined) return;
    kept.requests += counts.requests;
    kept.errors += errorsOf(counts);
    mergeHistogram(kept.latency, { counts: counts.latency, sum: counts.sumMs, max: counts.maxMs });
  }

  /** A copy; null: nobody reported on it. `labels` as documents write them. */
  read(service: string, labels: Readonly<Record<string, string>>): TargetFigures | null {
    const kept = this.#targets.get(keyOf({ destination: service, target: targetText(labels) }));
    if (kept === undefined) return null;
    return { requests: kept.requests, errors: kept.errors, latency: kept.latency.counts.slice(), reportedAtMs: kept.reportedAtMs };
  }

  #make(nowMs: number): Kept | null {
    if (this.#targets.size >= this.#max) {
      const oldest = this.#targets.entries().next().value;
      if (oldest === undefined || nowMs - oldest[1].reportedAtMs < keptMs) return null;
      this.#targets.delete(oldest[0]);
    }
    return { requests: 0, errors: 0, latency: createHistogram(), reportedAtMs: nowMs };
  }
}

export interface TargetName {
  readonly destination: string;
  /** As series name it: `version=v2`. */
  readonly target: string;
}

/** Cumulative: differences are taken by the reader. */
export interface TargetFigures {
  readonly requests: number;
  readonly errors: number;
  /** In the layout of libs/telemetry/histogram.ts. */
  readonly latency: Float64Array;
  /** Monotonic. */
  readonly reportedAtMs: number;
}

/** As sidecars name the target with these labels. */
export function targetText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`).sort().join(',').slice(0, 253);
}

interface Kept {
  requests: number;
  errors: number;
  readonly latency: ReturnType<typeof createHistogram>;
  reportedAtMs: number;
}

function keyOf({ destination, target }: TargetName): string {
  return `${destination} ${target}`;
}

const targetsMax = 1_000;
const keptMs = 3_600_000;
