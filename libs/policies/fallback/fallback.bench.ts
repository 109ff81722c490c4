import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { fallbackAuthoring } from './compile.ts';
import { fallbackRuntime } from './filter.ts';

/** A fixed answer, on a call that succeeds at once. */
export function bench(): KindCost {
  return measureLayer(fallbackAuthoring, fallbackRuntime, { answer: { body: 'later' } });
}
