import { createHistogram, type Histogram } from '@remora/telemetry/histogram';
import type { ReasonCatalogue, ReasonIdentity } from './reason-catalogue.ts';
import type { TrafficCounts } from './traffic-counts.ts';

/** Requests of one subject as one side saw them, since the control plane started. */
export interface SubjectTotals {
  readonly subject: string;
  readonly side: string;
  /** Index 0: no status; 1 to 5: classes. */
  readonly classes: Float64Array;
  /** Calls of gRPC and gRPC-Web by code; 17: codes that gRPC does not have. Empty where there were none. */
  readonly grpcCodes: Map<number, number>;
}

export interface RefusalTotals extends ReasonIdentity {
  readonly count: number;
}

/**
 * What all sidecars together reported since the control plane started: sums that only grow, for Prometheus. Bounded: beyond 2,000
 * pairs of subject and side they count as `_overflow`; reasons are bounded by their catalogue.
 */
export class FleetTotals {
  readonly #reasons: ReasonCatalogue;
  readonly #subjects = new Map<string, SubjectTotals>();
  readonly #refusals = new Map<number, number>();
  readonly #latency = new Map<string, Histogram>();

  constructor(reasons: ReasonCatalogue) {
    this.#reasons = reasons;
  }

  /** Counts of one series that are new. */
  add({ subject, side }: { readonly subject: string; readonly side: string }, counts: TrafficCounts): void {
    const known = sides.includes(side) ? side : 'other';
    const { classes, grpcCodes } = this.#totalsOf(subject, known);
    for (let i = 0; i < classes.length; i++) classes[i] = (classes[i] ?? 0) + (counts.classes[i] ?? 0);
    for (const [code, count] of counts.grpcCodes) grpcCodes.set(code, (grpcCodes.get(code) ?? 0) + count);
    this.#addLatency(known, counts);
    for (const [reason, count] of counts.reasons) this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + count);
  }

  subjects(): Iterable<SubjectTotals> {
    return this.#subjects.values();
  }

  refusals(): readonly RefusalTotals[] {
    return [...this.#refusals].map(([id, count]) => ({ ...this.#reasons.get(id), count }));
  }

  /** By side; the maximum is not kept. */
  latency(): ReadonlyMap<string, Histogram> {
    return this.#latency;
  }

  #totalsOf(subject: string, side: string): SubjectTotals {
    const key = `${side} ${subject}`;
    const known = this.#subjects.get(key);
    if (known) return known;
    if (this.#subjects.size >= subjectsMax && subject !== overflow) return this.#totalsOf(overflow, side);
    const made: SubjectTotals = { subject, side, classes: new Float64Array(6), grpcCodes: new Map() };
    this.#subjects.set(key, made);
    return made;
  }

  #addLatency(side: string, counts: TrafficCounts): void {
    let latency = this.#latency.get(side);
    if (!latency) {
      latency = createHistogram();
      this.#latency.set(side, latency);
    }
    for (let i = 0; i < latency.counts.length; i++) latency.counts[i] = (latency.counts[i] ?? 0) + (counts.latency[i] ?? 0);
    latency.sum += counts.sumMs;
  }
}

const subjectsMax = 2_000;
const overflow = '_overflow';
const sides: readonly string[] = ['inbound', 'outbound', 'gateway'];
