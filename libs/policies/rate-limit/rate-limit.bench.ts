import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { rateLimitAuthoring } from './compile.ts';
import { rateLimitRuntime } from './filter.ts';

/** One token bucket per client address, with the draft headers on the response. */
export function bench(): KindCost {
  return measureEdge(rateLimitAuthoring, rateLimitRuntime, { limits: { perIp: { requests: 1_000_000_000, per: '1s', key: ['clientAddress'] } } });
}
