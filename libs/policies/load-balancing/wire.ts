import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { LoadBalancing } from './gen/load-balancing.ts';

export interface LoadBalancingSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const loadBalancingWire = { name: 'loadBalancing', format: 1, decode: decodeLoadBalancing } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeLoadBalancing(bytes: Uint8Array): LoadBalancingSettings {
  const message = decodeMessage(LoadBalancing, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
