import { bodyRateGraceMs } from '@remora/policy-request-limits/wire';
import type { ConnectionLimits } from './connection-limits.ts';

/** How fast a request body comes, against `bodyTimeout` and `minBodyRate`. Time in which we hold the client back does not count. */
export class BodyPace {
  #bytes = 0;
  /** When it was first awaited, moved on by the time in which it was not. */
  #since: number;
  /** When something came, or was asked for, last. */
  #lastAt: number;

  constructor(nowMs: number) {
    this.#since = nowMs;
    this.#lastAt = nowMs;
  }

  /** More is wanted from now on. */
  awaited(nowMs: number): void {
    this.#since += nowMs - this.#lastAt;
    this.#lastAt = nowMs;
  }

  came(bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    this.#lastAt = nowMs;
  }

  /** The field of `requestLimits` that the client breaks; '' where it breaks none. */
  exceeded({ bodyTimeoutMs, bodyRateMin }: ConnectionLimits, nowMs: number): '' | '/bodyTimeout' | '/minBodyRate' {
    const spent = nowMs - this.#since;
    if (bodyRateMin > 0 && spent > bodyRateGraceMs && this.#bytes * 1000 < bodyRateMin * spent) return '/minBodyRate';
    return bodyTimeoutMs > 0 && nowMs - this.#lastAt >= bodyTimeoutMs ? '/bodyTimeout' : '';
  }

  /** When to look again; Infinity: there is no limit. */
  checkInMs({ bodyTimeoutMs, bodyRateMin }: ConnectionLimits, nowMs: number): number {
    if (bodyTimeoutMs > 0) return Math.min(Math.max(0, this.#lastAt + bodyTimeoutMs - nowMs), bodyRateGraceMs);
    return bodyRateMin > 0 ? bodyRateGraceMs : Infinity;
  }
}
