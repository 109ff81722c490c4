import type { LatencySketch } from './latency-sketch.ts';
import type { HedgingSettings } from './wire.ts';

/** After how long a call of one layer is tried a second time. The quantile is looked up anew ten times a second. */
export class HedgeDelay {
  readonly #settings: HedgingSettings;
  readonly #sketch: LatencySketch;
  #delayMs: number | null;
  #knownAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: HedgingSettings, sketch: LatencySketch) {
    this.#settings = settings;
    this.#sketch = sketch;
    this.#delayMs = settings.delayMs === 0 ? null : settings.delayMs;
  }

  /** Null: too little is known. */
  at(nowMs: number): number | null {
    const { quantile, samples, minDelayMs } = this.#settings;
    if (quantile > 0 && (nowMs - this.#knownAtMs >= renewMs || nowMs < this.#knownAtMs)) {
      this.#knownAtMs = nowMs;
      const known = this.#sketch.quantile(quantile, samples, nowMs);
      this.#delayMs = known === null ? null : Math.max(minDelayMs, known);
    }
    return this.#delayMs;
  }

  /** The first try of a call took so long, or longer: it was given up then. */
  took(ms: number, nowMs: number): void {
    if (this.#settings.quantile > 0) this.#sketch.record(ms, nowMs);
  }
}

const renewMs = 100;
