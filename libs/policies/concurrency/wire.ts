import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { Concurrency } from './gen/concurrency.ts';

export interface ConcurrencySettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const concurrencyWire = { name: 'concurrency', format: 1, decode: decodeConcurrency } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeConcurrency(bytes: Uint8Array): ConcurrencySettings {
  const message = decodeMessage(Concurrency, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
