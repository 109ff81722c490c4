import type { KindCost } from '@remora/testing/kind-bench';
import { connectionPoolRuntime } from './filter.ts';

/** Pools have limits whether somebody sets them or not: no request passes the kind. */
export function bench(): KindCost {
  return { kind: connectionPoolRuntime.name, nsPerRequest: 0 };
}
