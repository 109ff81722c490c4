import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { authorizationAuthoring } from './compile.ts';
import { authorizationRuntime } from './filter.ts';

/** A hundred rules: callers, methods and paths as a service with many callers has them; the last one lets this request in. */
export function bench(): KindCost {
  const rules = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`rule-${String(i).padStart(3, '0')}`, ruleAt(i)]));
  return measureEdge(authorizationAuthoring, authorizationRuntime, { rules }, {
    request: { method: 'GET', authority: 'orders', target: '/v1/blue/orders/42' }, connection: { principal: 'spiffe://shop.example/service/caller-99' }, clientAddress: '10.9.8.7',
  });
}

function ruleAt(i: number) {
  if (i % 10 === 0) return { action: 'deny', paths: [`/v1/{tenant}/internal-${i}/*`], callers: [`spiffe://shop.example/service/caller-${i}`] };
  if (i === 99) return { action: 'allow', paths: ['/v1/{tenant}/orders/{id}'], methods: ['GET'], callers: ['spiffe://shop.example/service/*'], addresses: ['10.0.0.0/8'] };
  return { action: 'allow', paths: [`/v1/{tenant}/part-${i}/*`, `/v2/part-${i}`], methods: ['GET', 'POST'], callers: [`spiffe://shop.example/service/caller-${i}`] };
}
