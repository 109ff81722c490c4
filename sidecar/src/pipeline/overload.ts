/**
 * How far a data thread is above what it can carry, and what it does about it. Every stage includes those before it:
 * 1 ends keep-alive (`Connection: close`, GOAWAY), so that clients spread over other instances; 2 answers new requests with 503 `overload`
 * and `Retry-After`, before any policy runs; 3 closes new connections at accept. What is under way always goes on.
 */
export type OverloadStage = 0 | 1 | 2 | 3;

export type OverloadCause = '' | 'event-loop' | 'memory' | 'connections';

/** What was measured since the last look. */
export interface OverloadReadings {
  /** Longest lateness of the event loop, milliseconds. */
  readonly delayMs: number;
  /** Of the limit on memory, heap or resident, whichever is nearer: 0 to 1. */
  readonly memory: number;
  /** Of the connections that the descriptors allow: 0 to 1. */
  readonly connections: number;
}

/** Where stages 1, 2 and 3 begin. */
export interface OverloadThresholds {
  readonly delayMs: readonly [number, number, number];
  readonly memory: readonly [number, number, number];
  readonly connections: readonly [number, number, number];
}

/**
 * A saturated thread runs its loop in a few milliseconds. A quarter of a second is what a host with busy neighbours may cost, which shedding does not cure: so
 * only keep-alive ends there, and requests are refused when clients are near giving up anyway. Connections are refused at accept by their own
 * bound, so here they only end keep-alive.
 */
export const defaultOverloadThresholds: OverloadThresholds = Object.freeze({
  delayMs: [250, 1000, 3000] as const,
  memory: [0.9, 0.94, 0.97] as const,
  connections: [0.9, 2, 2] as const,
});

/**
 * Decides the stage from readings: a pure core. It rises when two readings in a row ask for it, so that a single long turn (a collection, a new
 * snapshot) sheds nothing, and falls by one stage when `calmMs` have passed without a reading above nine tenths of what keeps it.
 */
export class Overload {
  stage: OverloadStage = 0;
  cause: OverloadCause = '';
  readonly #thresholds: OverloadThresholds;
  #asked: OverloadStage = 0;
  #calmSince = -1;

  constructor(thresholds: OverloadThresholds = defaultOverloadThresholds) {
    this.#thresholds = thresholds;
  }

  /** `now`: monotonic milliseconds. */
  observe(readings: OverloadReadings, now: number): void {
    const [wanted, cause] = this.#worst(readings, 1);
    const rise = Math.min(wanted, this.#asked) as OverloadStage;
    this.#asked = wanted;
    if (rise > this.stage) {
      this.stage = rise;
      this.cause = cause;
      this.#calmSince = -1;
      return;
    }
    if (this.stage > 0) this.#calm(this.#worst(readings, fallAt)[0], now);
  }

  #calm(kept: OverloadStage, now: number): void {
    if (kept >= this.stage) {
      this.#calmSince = -1;
      return;
    }
    if (this.#calmSince < 0) this.#calmSince = now;
    if (now - this.#calmSince < calmMs) return;
    this.stage = (this.stage - 1) as OverloadStage;
    if (this.stage === 0) this.cause = '';
    this.#calmSince = now;
  }

  #worst({ delayMs, memory, connections }: OverloadReadings, scale: number): [OverloadStage, OverloadCause] {
    const { delayMs: delays, memory: memories, connections: counts } = this.#thresholds;
    const byDelay = stageAt(delayMs, delays, scale);
    const byMemory = stageAt(memory, memories, scale);
    const byCount = stageAt(connections, counts, scale);
    const stage = Math.max(byDelay, byMemory, byCount) as OverloadStage;
    const cause = stage === 0 ? '' : byMemory === stage ? 'memory' : byDelay === stage ? 'event-loop' : 'connections';
    return [stage, cause];
  }
}

function stageAt(value: number, [first, second, third]: readonly [number, number, number], scale: number): OverloadStage {
  if (value >= third * scale) return 3;
  if (value >= second * scale) return 2;
  return value >= first * scale ? 1 : 0;
}

/** A stage is left when readings stay below this share of its threshold. */
const fallAt = 0.9;
const calmMs = 1000;
