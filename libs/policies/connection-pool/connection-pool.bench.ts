import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { connectionPoolAuthoring } from './compile.ts';
import { connectionPoolRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureLayer(connectionPoolAuthoring, connectionPoolRuntime, { marks: { 'x-mark': '1' } });
}
