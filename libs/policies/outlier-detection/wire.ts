import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { OutlierDetection } from './gen/outlier-detection.ts';

export interface OutlierDetectionSettings {
  readonly marks: readonly { readonly name: string; readonly value: string }[];
}

export const outlierDetectionWire = { name: 'outlierDetection', format: 1, decode: decodeOutlierDetection } as const;

/** Every bound is checked again: bytes may come from a damaged disk or another build. */
function decodeOutlierDetection(bytes: Uint8Array): OutlierDetectionSettings {
  const message = decodeMessage(OutlierDetection, bytes);
  const marks = boundedList(message.marks, '/marks', 16).map(({ name, value }) => ({ name: wireHeaderName(name, '/marks'), value: wireHeaderValue(value, `/marks/${name}`) }));
  return Object.freeze({ marks: Object.freeze(marks) });
}
