import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { outlierDetectionAuthoring } from './compile.ts';
import { outlierDetectionRuntime } from './filter.ts';

/** The defaults, on a call that succeeds at once. */
export function bench(): KindCost {
  return measureLayer(outlierDetectionAuthoring, outlierDetectionRuntime, {});
}
