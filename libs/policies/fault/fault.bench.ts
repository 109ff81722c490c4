import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { faultAuthoring } from './compile.ts';
import { faultRuntime } from './filter.ts';

/** One fault for requests with a header, which this one lacks. */
export function bench(): KindCost {
  return measureEdge(faultAuthoring, faultRuntime, { faults: { rare: { until: '9999-12-31T00:00:00Z', abort: { status: 503, ratio: 0 }, match: { headers: { 'x-chaos': { present: true } } } } } });
}
