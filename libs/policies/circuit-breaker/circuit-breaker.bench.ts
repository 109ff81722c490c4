import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { circuitBreakerAuthoring } from './compile.ts';
import { circuitBreakerRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(circuitBreakerAuthoring, circuitBreakerRuntime, { marks: { 'x-mark': '1' } });
}
