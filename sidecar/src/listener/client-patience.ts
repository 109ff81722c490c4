import type { BodyPace } from './body-pace.ts';
import type { ConnectionLimits } from './connection-limits.ts';

/**
 * What is awaited from the client of an HTTP/1.1 connection: the rest of a head, a request while the listener drains (`farewell`) or in general, that it reads,
 * more of its body; or nothing.
 */
export type Awaited = 'head' | 'farewell' | 'request' | 'reader' | 'body' | 'nothing';

/** Milliseconds until something is too late; not positive: it is. Infinity: there is no limit. */
export function timeLeft(awaited: Awaited, limits: ConnectionLimits, { sinceMs, nowMs, pace }: { readonly sinceMs: number; readonly nowMs: number; readonly pace: BodyPace | null }): number {
  const quietMs = nowMs - sinceMs;
  switch (awaited) {
    case 'head':
      return limits.headerTimeoutMs > 0 ? limits.headerTimeoutMs - quietMs : Infinity;
    case 'farewell':
      return drainQuietMs - quietMs;
    case 'request':
    case 'reader':
      return limits.idleTimeoutMs > 0 ? limits.idleTimeoutMs - quietMs : Infinity;
    case 'body':
      if (pace === null) return Infinity;
      return pace.exceeded(limits, nowMs) === '' ? pace.checkInMs(limits, nowMs) : 0;
    case 'nothing':
      return limits.idleTimeoutMs > 0 ? limits.idleTimeoutMs : Infinity;
  }
}

/** While a listener drains, an idle connection is closed after this time of quiet: a request that is on its way now is still answered. */
export const drainQuietMs = 500;
