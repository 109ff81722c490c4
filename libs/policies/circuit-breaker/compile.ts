import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { CircuitBreaker } from './gen/circuit-breaker.ts';
import { checkCircuitBreaker, circuitBreakerSchema, type EffectiveCircuitBreaker } from './schema.ts';

/** What the control plane knows of circuitBreaker: caller side. */
export const circuitBreakerAuthoring: AuthoringKind = {
  name: 'circuitBreaker',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: circuitBreakerSchema,
  defaults: {},
  check: checkCircuitBreaker,
  compile: (effective) => ({ minFormat: 1, body: CircuitBreaker.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveCircuitBreaker): CircuitBreaker {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
