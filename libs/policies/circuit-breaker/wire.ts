import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { CircuitBreaker } from './gen/circuit-breaker.ts';

export interface CircuitBreakerSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const circuitBreakerWire = { name: 'circuitBreaker', format: 1, decode: decodeCircuitBreaker } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeCircuitBreaker(bytes: Uint8Array): CircuitBreakerSettings {
  const message = decodeMessage(CircuitBreaker, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
