import { boundedList, boundedText, decodeMessage, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { Mirror } from './gen/mirror.ts';

export interface MirrorSettings {
  readonly to: { readonly service: string; readonly port: string; readonly labels: readonly string[] };
  /** Share of the requests. */
  readonly ratio: number;
  /** Requests with longer bodies are not mirrored. */
  readonly bodyBytes: number;
  /** Mirrored calls under way at once, per data thread. */
  readonly outstanding: number;
}

export const mirrorWire = { name: 'mirror', format: 1, decode: decodeMirror, reasons: [] } as const;

function decodeMirror(bytes: Uint8Array): MirrorSettings {
  const { service, port, labels, ratio, bodyBytes, outstanding } = decodeMessage(Mirror, bytes);
  return Object.freeze({
    to: Object.freeze({
      service: boundedText(service, '/to/service', 63, /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/),
      port: boundedText(port, '/to/port', 63),
      labels: boundedList(labels, '/to/labels', 64).map((label) => boundedText(label, '/to/labels', 320, /=/)),
    }),
    ratio: realNumber(ratio, '/ratio', 0, 1),
    bodyBytes: wholeNumber(bodyBytes, '/bodyMax', 0, 8 * 1024 * 1024),
    outstanding: wholeNumber(outstanding, '/outstanding', 1, 10_000),
  });
}
