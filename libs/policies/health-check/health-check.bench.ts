import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { healthCheckAuthoring } from './compile.ts';
import { healthCheckRuntime } from './filter.ts';

/** The defaults: calls pass nothing. */
export function bench(): KindCost {
  return measureLayer(healthCheckAuthoring, healthCheckRuntime, {});
}
