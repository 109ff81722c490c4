import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { concurrencyAuthoring } from './compile.ts';
import { concurrencyRuntime } from './filter.ts';

/** One mark. */
export function bench(): KindCost {
  return measureEdge(concurrencyAuthoring, concurrencyRuntime, { marks: { 'x-mark': '1' } });
}
