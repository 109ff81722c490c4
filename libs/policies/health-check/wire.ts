import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { HealthCheck } from './gen/health-check.ts';

export interface HealthCheckSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const healthCheckWire = { name: 'healthCheck', format: 1, decode: decodeHealthCheck } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeHealthCheck(bytes: Uint8Array): HealthCheckSettings {
  const message = decodeMessage(HealthCheck, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
