import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { timeoutAuthoring } from './compile.ts';
import { timeoutRuntime } from './filter.ts';

/** The defaults: limits on the call, and the deadline that the next hop is told. */
export function bench(): KindCost {
  return measureLayer(timeoutAuthoring, timeoutRuntime, {});
}
