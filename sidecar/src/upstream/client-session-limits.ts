import { defaultHttp2Limits, type Http2Limits } from '@remora/http/http2/http2-limits';
import { upstreamHeadLimits } from './client-connection.ts';
import type { PoolLimits } from './pool-limits.ts';

/**
 * A connection is shared: the window of all streams together must not let a few whose clients read slowly stop the others, so it has room for 64
 * of them. That is also the most that one connection's peers can make us hold.
 */
export function sessionLimits(pool: PoolLimits): Http2Limits {
  let limits = madeLimits.get(pool);
  if (limits === undefined) {
    const { keepAliveTimeoutMs } = pool;
    limits = Object.freeze({
      ...defaultHttp2Limits, head: upstreamHeadLimits, streamWindowBytes: 256 * 1024, connectionWindowBytes: 64 * 256 * 1024, keepAliveTimeoutMs,
    });
    madeLimits.set(pool, limits);
  }
  return limits;
}

const madeLimits = new WeakMap<PoolLimits, Http2Limits>();
