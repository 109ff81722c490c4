import type { PoolLimits } from './pool-limits.ts';

/**
 * When a silent HTTP/2 peer is asked by PING whether it is still there. The first time after `keepAliveMs`; where nothing but its answer came, only
 * every eleventh time from then on: servers of gRPC end connections that ask more often than every five minutes while nothing else happens.
 */
export class KeepAlive {
  readonly #limits: PoolLimits;
  #readAt: number;
  #pingedAt = -Infinity;
  /** Frames that had come when the last PING went out; -1: none has. */
  #framesThen = -1;
  /** The peer is known to be there, and quiet: it is not asked before. */
  #quietUntil = -Infinity;

  constructor(limits: PoolLimits, now: number) {
    this.#limits = limits;
    this.#readAt = now;
  }

  /** Bytes came; `framesIn`: all frames so far. True: the next PING may be due earlier than before. */
  read(now: number, framesIn: number): boolean {
    this.#readAt = now;
    if (this.#quietUntil === -Infinity || framesIn - this.#framesThen <= 1) return false;
    this.#quietUntil = -Infinity;
    return true;
  }

  /** Monotonic milliseconds of the next PING; Infinity: none. `busy`: calls are under way. */
  dueAt(busy: boolean): number {
    const { keepAliveMs, keepAliveIdle } = this.#limits;
    if (keepAliveMs === 0 || (!busy && !keepAliveIdle)) return Infinity;
    return Math.max(this.#readAt + keepAliveMs, this.#pingedAt + keepAliveMs, busy ? this.#quietUntil : -Infinity);
  }

  /** A PING goes out. */
  pinged(now: number, framesIn: number): void {
    this.#pingedAt = now;
    this.#framesThen = framesIn;
    this.#quietUntil = now + this.#limits.keepAliveMs * quietFactor;
  }
}

/** Of the 30 s that are the default: more than five minutes. */
const quietFactor = 11;
