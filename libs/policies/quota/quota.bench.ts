import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { quotaAuthoring } from './compile.ts';
import { quotaRuntime } from './filter.ts';

/** A request of nobody in particular: what the kind costs where no Plan has a quota. */
export function bench(): KindCost {
  return measureEdge(quotaAuthoring, quotaRuntime, { headers: true });
}
