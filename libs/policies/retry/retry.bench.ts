import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { retryAuthoring } from './compile.ts';
import { retryRuntime } from './filter.ts';

/** The defaults, on a call that succeeds at once. */
export function bench(): KindCost {
  return measureLayer(retryAuthoring, retryRuntime, {});
}
