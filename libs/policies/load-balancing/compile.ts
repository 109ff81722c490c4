import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { LoadBalancing } from './gen/load-balancing.ts';
import { checkLoadBalancing, loadBalancingSchema, type EffectiveLoadBalancing } from './schema.ts';

/** What the control plane knows of loadBalancing: caller side. */
export const loadBalancingAuthoring: AuthoringKind = {
  name: 'loadBalancing',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: loadBalancingSchema,
  defaults: {},
  check: checkLoadBalancing,
  compile: (effective) => ({ minFormat: 1, body: LoadBalancing.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveLoadBalancing): LoadBalancing {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
