import { decodeMessage, oneWord, wholeNumber, wireHeaderName } from '@remora/policy-kit/wire-check';
import { RequestId } from './gen/request-id.ts';

/** How requests and traces get their names. */
export interface RequestIdSettings {
  /** Lower case. */
  readonly header: string;
  readonly format: FormatWord;
  /** Whose ids are kept: at a Gateway those of trusted proxies (the other sides keep every valid one), all, or none. */
  readonly accept: AcceptWord;
  /** Which responses carry the id. */
  readonly echo: EchoWord;
  /** `make`: a trace begins here where the request brings none; `keep`: only valid ones go on; `ignore`: not looked at. */
  readonly traceContext: TraceWord;
  /** Share of the traces that begin here and are marked as sampled: 0 to 1. */
  readonly traceSampling: number;
}

export const formatWords = ['uuid4', 'uuid7'] as const;
export type FormatWord = (typeof formatWords)[number];
export const acceptWords = ['trusted', 'always', 'never'] as const;
export type AcceptWord = (typeof acceptWords)[number];
export const echoWords = ['refusals', 'always', 'never'] as const;
export type EchoWord = (typeof echoWords)[number];
export const traceWords = ['make', 'keep', 'ignore'] as const;
export type TraceWord = (typeof traceWords)[number];

export const requestIdWire = { name: 'requestId', format: 1, reasons: [], decode: decodeRequestId } as const;

function decodeRequestId(bytes: Uint8Array): RequestIdSettings {
  const message = decodeMessage(RequestId, bytes);
  return Object.freeze({
    header: wireHeaderName(message.header, '/header'),
    format: oneWord(message.format, '/format', formatWords),
    accept: oneWord(message.accept, '/accept', acceptWords),
    echo: oneWord(message.echo, '/echo', echoWords),
    traceContext: oneWord(message.traceContext, '/traceContext', traceWords),
    traceSampling: wholeNumber(message.traceSamplingPpm, '/traceSampling', 0, 1_000_000) / 1_000_000,
  });
}
