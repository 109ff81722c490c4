import type { Timer, Timers } from '@remora/core/clock';
import type { PushLimits } from './push-limits.ts';
import type { SyncConnection } from './sync-connection.ts';

export const sweepEveryMs = 1_000;
/** A sweep that comes this late means that this process stood still: silence was ours, not the sidecars'. */
const stallMs = 3_000;

export interface StreamWatchDeps {
  readonly timers: Timers;
  readonly limits: PushLimits;
  readonly nowMs: () => number;
  readonly streams: ReadonlySet<SyncConnection>;
  /** It is time for its heartbeat. */
  readonly beat: (connection: SyncConnection) => void;
  /** After each sweep. */
  readonly swept: () => void;
}

/** Looks at every stream once a second: ends those that say nothing, take nothing or do not answer, and wants heartbeats for the others. */
export class StreamWatch {
  readonly #deps: StreamWatchDeps;
  readonly #sweeper: Timer;
  #lastSweepMs: number;

  constructor(deps: StreamWatchDeps) {
    this.#deps = deps;
    this.#lastSweepMs = deps.nowMs();
    this.#sweeper = deps.timers.every(sweepEveryMs, () => this.#sweep());
  }

  close(): void {
    this.#sweeper.cancel();
  }

  #sweep(): void {
    const { streams, nowMs, swept } = this.#deps;
    const now = nowMs();
    const late = now - this.#lastSweepMs - sweepEveryMs;
    this.#lastSweepMs = now;
    for (const connection of streams) {
      if (late > stallMs) connection.lastHeardMs = Math.min(now, connection.lastHeardMs + late);
      this.#check(connection, now);
    }
    swept();
  }

  #check(connection: SyncConnection, now: number): void {
    const { limits, beat } = this.#deps;
    const { session } = connection;
    if (connection.stream.bufferedBytes === 0) connection.lastTakenMs = now;
    const waitingSince = Math.min(session?.waitingSinceMs() ?? now, connection.lastTakenMs);
    if (!session && now - connection.openedAtMs > limits.helloTimeoutMs) {
      connection.end({ code: 'deadline-exceeded', message: `No Hello came within ${limits.helloTimeoutMs} ms.` });
    } else if (now - connection.lastHeardMs > limits.silenceMs) {
      connection.cut();
    } else if (now - waitingSince > limits.ackTimeoutMs) {
      connection.cut();
    } else if (session && now >= connection.nextBeatAtMs) {
      beat(connection);
    }
  }
}
