import type { Algorithm, Decision } from './algorithm.ts';

/**
 * Token bucket and leaky bucket as the generic cell rate algorithm (ITU-T I.371): the only state is the theoretical
 * arrival time, at which the bucket is full again (token) or the queue is empty (leaky).
 */
export function createGcra(options: GcraOptions): Algorithm {
  const intervalMs = options.perMs / options.requests;
  const costMs = intervalMs * options.cost;
  const capacity = options.queue ? options.burst + 1 : options.burst;
  const depthMs = capacity * intervalMs;
  return {
    // A part of a limit need not be whole.
    quota: Math.max(1, Math.floor(capacity)),
    freeAt: (cells, at) => cells[at] as number,
    decide(cells, at, nowMs, commit, out) {
      const arrivalAt = Math.max(cells[at] as number, nowMs);
      const nextAt = arrivalAt + costMs;
      const excessMs = nextAt - nowMs - depthMs;
      out.allowed = excessMs <= toleranceMs;
      const taken = out.allowed && commit;
      if (taken) cells[at] = nextAt;
      fill(out, taken ? nextAt - nowMs : arrivalAt - nowMs, excessMs, depthMs, intervalMs);
      out.waitMs = options.queue && out.allowed ? arrivalAt - nowMs : 0;
    },
  };
}

export interface GcraOptions {
  readonly requests: number;
  readonly perMs: number;
  /** Capacity; of the queue where it is one, besides the request that goes at once. */
  readonly burst: number;
  readonly cost: number;
  /** Leaky bucket: what comes early waits. */
  readonly queue: boolean;
}

/** Far below a millisecond and far above the rounding of sums of doubles. */
const toleranceMs = 1e-4;

function fill(out: Decision, usedMs: number, excessMs: number, depthMs: number, intervalMs: number): void {
  out.retryAfterMs = out.allowed ? 0 : excessMs;
  out.remaining = Math.max(0, Math.floor((depthMs - usedMs) / intervalMs + toleranceMs));
  out.resetMs = Math.max(0, usedMs);
}
