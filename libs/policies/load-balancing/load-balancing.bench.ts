import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { loadBalancingAuthoring } from './compile.ts';
import { loadBalancingRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(loadBalancingAuthoring, loadBalancingRuntime, { marks: { 'x-mark': '1' } });
}
