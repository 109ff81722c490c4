import { systemClock } from '@remora/core/clock';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import { consumerFacts } from '@remora/testing/consumer-facts';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { MemoryCounts } from '@remora/testing/memory-counts';
import { quotaAuthoring } from './compile.ts';
import { quotaRuntime } from './filter.ts';

/** A request of a consumer whose Plan has a quota, from a block, with headers on the response. */
export function bench(): KindCost {
  const store = new MemoryCounts(systemClock);
  const identity = new RequestIdentity();
  identity.finds('apiKey', { consumer: { name: 'acme', groups: [], plan: 'gold' }, subject: '', issuer: '', claims: null, scopes: [] });
  const quotas = [{ name: 'monthly', requests: 1_000_000_000, per: 'month', timeZone: 'UTC', startsOn: 1, throttleRequests: 0, throttlePerMs: 0 }];
  return measureEdge(quotaAuthoring, quotaRuntime, { headers: true }, typicalStep, {
    name: 'quota (of a Plan)', identity, answer: (body) => store.answer(body),
    prepare: (context) => {
      store.announce(context.factBooks);
      context.factBooks.apply(consumerFacts({ plans: { plans: [{ name: 'gold', limits: [], quotas }] } }));
    },
  });
}
