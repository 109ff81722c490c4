import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { Fallback } from './gen/fallback.ts';

export interface FallbackSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const fallbackWire = { name: 'fallback', format: 1, decode: decodeFallback } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeFallback(bytes: Uint8Array): FallbackSettings {
  const message = decodeMessage(Fallback, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
