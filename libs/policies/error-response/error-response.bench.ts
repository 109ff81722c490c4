import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { errorResponseAuthoring } from './compile.ts';
import { errorResponseRuntime } from './filter.ts';

/** On a request that is not refused: the kind costs nothing then. */
export function bench(): KindCost {
  return measureEdge(errorResponseAuthoring, errorResponseRuntime, { responses: { server: { classes: ['5xx'], bodies: { 'text/plain': 'sorry' } } } });
}
