import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { hedgingAuthoring } from './compile.ts';
import { hedgingRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(hedgingAuthoring, hedgingRuntime, { marks: { 'x-mark': '1' } });
}
