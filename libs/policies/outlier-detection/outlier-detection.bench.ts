import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { outlierDetectionAuthoring } from './compile.ts';
import { outlierDetectionRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(outlierDetectionAuthoring, outlierDetectionRuntime, { marks: { 'x-mark': '1' } });
}
