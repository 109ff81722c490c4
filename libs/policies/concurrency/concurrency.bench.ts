import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { concurrencyAuthoring } from './compile.ts';
import { concurrencyRuntime } from './filter.ts';

/** An adaptive limit with one priority that the request is not of. */
export function bench(): KindCost {
  return measureEdge(concurrencyAuthoring, concurrencyRuntime, { priorities: { batch: { share: '50%', match: { headers: { 'x-priority': { exact: 'low' } } } } } });
}
