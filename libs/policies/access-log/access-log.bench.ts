import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { accessLogAuthoring } from './compile.ts';
import { accessLogRuntime } from './filter.ts';

/** A JSON line with the standard fields. */
export function bench(): KindCost {
  return measureEdge(accessLogAuthoring, accessLogRuntime, { enabled: true });
}
