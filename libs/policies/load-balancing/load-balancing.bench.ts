import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { loadBalancingAuthoring } from './compile.ts';
import { loadBalancingRuntime } from './filter.ts';

/** Names the balancer; what it costs to choose is in `test/bench/resilience`. */
export function bench(): KindCost {
  return measureLayer(loadBalancingAuthoring, loadBalancingRuntime, { algorithm: 'leastRequest' });
}
