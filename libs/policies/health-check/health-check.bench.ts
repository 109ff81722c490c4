import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { healthCheckAuthoring } from './compile.ts';
import { healthCheckRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(healthCheckAuthoring, healthCheckRuntime, { marks: { 'x-mark': '1' } });
}
