import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { ipAccessAuthoring } from './compile.ts';
import { ipAccessRuntime } from './filter.ts';

/** Three allowed networks and a denied one. */
export function bench(): KindCost {
  return measureEdge(ipAccessAuthoring, ipAccessRuntime, { allow: { inside: ['10.0.0.0/8', '192.0.2.0/24'], outside: '2001:db8::/32' }, deny: { scanners: '203.0.113.0/24' } });
}
