import type { TargetFigures } from '../telemetry/target-totals.ts';
import type { Measured, StepMeasurement } from './gate-engine.ts';

/** What was seen since a step began: differences of sums that grow, and what was measured before whoever looks was started. */
export class StepMeter {
  readonly #read: ReadSide;
  #base: Sides | null = null;
  #carried: Sides = none;

  constructor(read: ReadSide) {
    this.#read = read;
  }

  /** Counts from here, and adds `carried`. What nobody reported on until now counts from zero, as soon as somebody does. */
  begin(carried: { readonly candidate: Measured | null; readonly stable: Measured | null } = none): void {
    this.#carried = { candidate: carried.candidate ?? nothing, stable: carried.stable ?? nothing };
    this.#base = { candidate: this.#read('candidate') ?? nothing, stable: this.#read('stable') ?? nothing };
  }

  /** Without figures before `begin`, and where sums went back: whoever kept them began anew, and nobody knows what is missing. */
  measure(): StepMeasurement {
    const [candidate, stable] = [this.#read('candidate'), this.#read('stable')];
    const base = this.#base;
    return {
      candidate: base === null || candidate === null ? null : since(candidate, base.candidate, this.#carried.candidate),
      stable: base === null || stable === null ? null : since(stable, base.stable, this.#carried.stable),
      reportedAtMs: Math.min(candidate?.reportedAtMs ?? Number.NEGATIVE_INFINITY, stable?.reportedAtMs ?? Number.NEGATIVE_INFINITY),
    };
  }
}

export type RolloutSide = 'candidate' | 'stable';
/** Null: nobody reported on it. */
export type ReadSide = (side: RolloutSide) => TargetFigures | null;
type Sides = Readonly<Record<RolloutSide, Measured>>;

const nothing: Measured = { requests: 0, errors: 0, latency: [] };
const none: Sides = { candidate: nothing, stable: nothing };

function since(now: Measured, before: Measured, carried: Measured): Measured | null {
  const grown = Array.from(now.latency, (count, i) => count - (before.latency[i] ?? 0));
  const requests = now.requests - before.requests;
  const errors = now.errors - before.errors;
  if (requests < 0 || errors < 0 || grown.some((count) => count < 0)) return null;
  return { requests: requests + carried.requests, errors: errors + carried.errors, latency: grown.map((count, i) => count + (carried.latency[i] ?? 0)) };
}
