import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { fallbackAuthoring } from './compile.ts';
import { fallbackRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(fallbackAuthoring, fallbackRuntime, { marks: { 'x-mark': '1' } });
}
