import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { requestLimitsAuthoring } from './compile.ts';
import { requestLimitsRuntime } from './filter.ts';

/** A limit on bodies, on requests without one. */
export function bench(): KindCost {
  return measureEdge(requestLimitsAuthoring, requestLimitsRuntime, { bodyBytes: '1MiB' });
}
