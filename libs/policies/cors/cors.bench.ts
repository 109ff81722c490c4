import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { corsAuthoring } from './compile.ts';
import { corsRuntime } from './filter.ts';

/** One origin with credentials. */
export function bench(): KindCost {
  return measureEdge(corsAuthoring, corsRuntime, { origins: ['https://app.example'], credentials: true, expose: ['x-total'] });
}
