import { systemClock } from '@remora/core/clock';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { MemoryCounts } from '@remora/testing/memory-counts';
import { rateLimitAuthoring } from './compile.ts';
import { rateLimitRuntime } from './filter.ts';

/** One limit of the fleet for all clients, from leases, with the draft headers on the response. */
export function bench(): KindCost {
  const store = new MemoryCounts(systemClock);
  return measureEdge(rateLimitAuthoring, rateLimitRuntime, { limits: { whole: { requests: 1_000_000_000, per: '1s', sharedBy: 'fleet' } } }, typicalStep, {
    name: 'rateLimit (fleet, leased)', prepare: (context) => store.announce(context.factBooks), answer: (body) => store.answer(body),
  });
}
