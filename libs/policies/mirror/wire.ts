import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { Mirror } from './gen/mirror.ts';

export interface MirrorSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const mirrorWire = { name: 'mirror', format: 1, decode: decodeMirror } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeMirror(bytes: Uint8Array): MirrorSettings {
  const message = decodeMessage(Mirror, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
