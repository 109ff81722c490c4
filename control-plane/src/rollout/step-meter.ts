import type { TargetFigures } from '../telemetry/target-totals.ts';
import type { Measured, StepMeasurement } from './gate-engine.ts';

/** What callers saw since a step began: differences of sums that grow. */
export class StepMeter {
  readonly #read: ReadSide;
  #base: Readonly<Record<RolloutSide, Measured>> | null = null;

  constructor(read: ReadSide) {
    this.#read = read;
  }

  /** Counts from here. What nobody reported on until now counts from zero, as soon as somebody does. */
  begin(): void {
    this.#base = { candidate: this.#read('candidate') ?? nothing, stable: this.#read('stable') ?? nothing };
  }

  /** Without figures before `begin`, and where sums went back: whoever kept them began anew, and nobody knows what is missing. */
  measure(): StepMeasurement {
    const [candidate, stable] = [this.#read('candidate'), this.#read('stable')];
    const base = this.#base;
    return {
      candidate: base === null || candidate === null ? null : difference(candidate, base.candidate),
      stable: base === null || stable === null ? null : difference(stable, base.stable),
      reportedAtMs: Math.min(candidate?.reportedAtMs ?? Number.NEGATIVE_INFINITY, stable?.reportedAtMs ?? Number.NEGATIVE_INFINITY),
    };
  }
}

export type RolloutSide = 'candidate' | 'stable';
/** Null: nobody reported on it. */
export type ReadSide = (side: RolloutSide) => TargetFigures | null;

const nothing: Measured = { requests: 0, errors: 0, latency: [] };

function difference(now: Measured, before: Measured): Measured | null {
  const latency = Array.from(now.latency, (count, i) => count - (before.latency[i] ?? 0));
  const requests = now.requests - before.requests;
  const errors = now.errors - before.errors;
  return requests < 0 || errors < 0 || latency.some((count) => count < 0) ? null : { requests, errors, latency };
}
