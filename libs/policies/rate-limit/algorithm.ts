/**
 * The decision core of a limit: pure arithmetic on the three numbers of a cell, with the time given. A cell of zeros is a
 * key never seen. Times are monotonic milliseconds.
 */
export interface Algorithm {
  /** Decides on one request, and takes its cost from the cell where `commit` is set and it is allowed. */
  decide(cells: Float64Array, at: number, nowMs: number, commit: boolean, out: Decision): void;
  /** From when on the cell holds nothing that matters. */
  freeAt(cells: Float64Array, at: number): number;
  /** The most that can be taken at once, as headers show it. */
  readonly quota: number;
}

/** Filled by `decide`; one per limit, read before the next request. */
export interface Decision {
  allowed: boolean;
  /** Leaky bucket: how long the request has to wait for its turn. */
  waitMs: number;
  /** Refused: after this time a request of the same cost is allowed, if no other comes. */
  retryAfterMs: number;
  /** What is left, in whole requests of cost 1. */
  remaining: number;
  /** After this time the whole quota is there again. */
  resetMs: number;
}

export function emptyDecision(): Decision {
  return { allowed: true, waitMs: 0, retryAfterMs: 0, remaining: 0, resetMs: 0 };
}
