import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { mirrorAuthoring } from './compile.ts';
import { mirrorRuntime } from './filter.ts';

/** One request in 10,000 is copied: what the others pay. */
export function bench(): KindCost {
  return measureLayer(mirrorAuthoring, mirrorRuntime, { to: { service: 'payments-b' }, ratio: 0.0001 });
}
