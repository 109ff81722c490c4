import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { Hedging } from './gen/hedging.ts';

export interface HedgingSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const hedgingWire = { name: 'hedging', format: 1, decode: decodeHedging } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeHedging(bytes: Uint8Array): HedgingSettings {
  const message = decodeMessage(Hedging, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
