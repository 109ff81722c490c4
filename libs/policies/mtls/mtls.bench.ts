import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { mtlsAuthoring } from './compile.ts';
import { mtlsRuntime } from './filter.ts';

/** Strict, with a port of its own. */
export function bench(): KindCost {
  return measureEdge(mtlsAuthoring, mtlsRuntime, { mode: 'permissive', ports: { other: 'strict' } });
}
