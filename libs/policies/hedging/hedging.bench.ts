import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { hedgingAuthoring } from './compile.ts';
import { hedgingRuntime } from './filter.ts';

/** By the quantile, on a call that succeeds at once. */
export function bench(): KindCost {
  return measureLayer(hedgingAuthoring, hedgingRuntime, { quantile: '95%' });
}
