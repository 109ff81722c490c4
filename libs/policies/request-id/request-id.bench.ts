import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { requestIdAuthoring } from './compile.ts';
import { requestIdRuntime } from './filter.ts';

/** A made id and trace, the id echoed. */
export function bench(): KindCost {
  return measureEdge(requestIdAuthoring, requestIdRuntime, { echo: 'always' });
}
