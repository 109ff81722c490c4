import type { Random } from '@remora/core/random';

/** What one thread may open towards one address, and how long it keeps it: by the `connectionPool` section, else these defaults. */
export interface PoolLimits {
  readonly connectionsMax: number;
  /** Calls that wait for a connection; beyond it `upstream-overflow`. */
  readonly waitingMax: number;
  readonly idleTimeoutMs: number;
  /** Requests after which a connection takes no more. */
  readonly requestsPerConnectionMax: number;
  /** HTTP/2: calls that one connection has at once, whatever its peer allows. */
  readonly streamsPerConnectionMax: number;
  /** HTTP/2: silence after which a PING asks whether the peer is still there, while calls are under way (keep-alive.ts). 0: none. */
  readonly keepAliveMs: number;
  /** HTTP/2: a PING without an answer for this long ends the connection. */
  readonly keepAliveTimeoutMs: number;
  /** HTTP/2: the same PINGs while no call is under way. Many servers take that for abuse (gRPC: GOAWAY with ENHANCE_YOUR_CALM). */
  readonly keepAliveIdle: boolean;
  /** Age at which a connection takes no more requests; 0: none. */
  readonly maxAgeMs: number;
  /** Share of the age by which a connection may end earlier. */
  readonly maxAgeJitter: number;
  /** Silence after which the system asks whether the peer is still there; 0: it does not. */
  readonly tcpKeepaliveMs: number;
}

/** The age of one connection; Infinity: it has none. */
export function drawAgeMs({ maxAgeMs, maxAgeJitter }: PoolLimits, random: Random): number {
  return maxAgeMs === 0 ? Infinity : maxAgeMs * (1 - maxAgeJitter * random.next());
}

export const defaultPoolLimits: PoolLimits = {
  connectionsMax: 1024,
  waitingMax: 1024,
  idleTimeoutMs: 60_000,
  requestsPerConnectionMax: Number.MAX_SAFE_INTEGER,
  streamsPerConnectionMax: 1000,
  keepAliveMs: 30_000,
  keepAliveTimeoutMs: 10_000,
  keepAliveIdle: false,
  maxAgeMs: 0,
  maxAgeJitter: 0.1,
  tcpKeepaliveMs: 0,
};
