import type { Algorithm } from './algorithm.ts';

export interface WindowOptions {
  readonly requests: number;
  readonly perMs: number;
  readonly cost: number;
}

/**
 * At most `requests` in each window of the clock's grid. Cell: number of the window + 1, count. Two bursts may meet at the
 * border of two windows; who minds takes the sliding window.
 */
export function createFixedWindow({ requests, perMs, cost }: WindowOptions): Algorithm {
  return {
    quota: requests,
    freeAt: (cells, at) => (cells[at] as number) * perMs,
    decide(cells, at, nowMs, commit, out) {
      const window = Math.floor(nowMs / perMs);
      const used = cells[at] === window + 1 ? (cells[at + 1] as number) : 0;
      const untilNextMs = (window + 1) * perMs - nowMs;
      out.allowed = used + cost <= requests;
      const after = out.allowed && commit ? used + cost : used;
      if (out.allowed && commit) {
        cells[at] = window + 1;
        cells[at + 1] = after;
      }
      out.waitMs = 0;
      out.retryAfterMs = out.allowed ? 0 : untilNextMs;
      out.remaining = requests - after;
      out.resetMs = untilNextMs;
    },
  };
}

/**
 * Counts of the current and the previous window, the previous one weighted by the part of it that is still within one
 * period. Cell: number of the window + 1, current count, previous count.
 */
export function createSlidingWindow({ requests, perMs, cost }: WindowOptions): Algorithm {
  return {
    quota: requests,
    freeAt: (cells, at) => ((cells[at] as number) + 1) * perMs,
    decide(cells, at, nowMs, commit, out) {
      const window = Math.floor(nowMs / perMs);
      const seen = (cells[at] as number) - 1;
      const current = seen === window ? (cells[at + 1] as number) : 0;
      const previous = seen === window ? (cells[at + 2] as number) : seen === window - 1 ? (cells[at + 1] as number) : 0;
      const passed = nowMs / perMs - window;
      const used = current + previous * (1 - passed);
      out.allowed = used + cost <= requests + tolerance;
      const taken = out.allowed && commit ? cost : 0;
      if (taken > 0) {
        cells[at] = window + 1;
        cells[at + 1] = current + taken;
        cells[at + 2] = previous;
      }
      out.waitMs = 0;
      out.retryAfterMs = out.allowed ? 0 : periodsUntil({ room: requests - cost, current, previous, passed }) * perMs;
      out.remaining = Math.max(0, Math.floor(requests - used - taken + tolerance));
      out.resetMs = (current + taken > 0 ? 2 - passed : 1 - passed) * perMs;
    },
  };
}

/** Rounding of the weighted count. */
const tolerance = 1e-9;

/** In periods: until the weighted count is at most `room`. */
function periodsUntil({ room, current, previous, passed }: { room: number; current: number; previous: number; passed: number }): number {
  if (current <= room && previous > 0) return 1 - (room - current) / previous - passed;
  return 1 - passed + (current > room ? 1 - room / current : 0);
}
