import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { mirrorAuthoring } from './compile.ts';
import { mirrorRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(mirrorAuthoring, mirrorRuntime, { marks: { 'x-mark': '1' } });
}
