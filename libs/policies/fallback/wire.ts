import { boundedList, boundedText, decodeMessage, wholeNumber, wireHeaderName } from '@remora/policy-kit/wire-check';
import { Fallback } from './gen/fallback.ts';
import { destinationFailed } from './reasons.ts';

export interface FallbackSettings {
  /** A call that ended without an answer, whatever the reason. */
  readonly onFailure: boolean;
  readonly reasons: ReadonlySet<string>;
  readonly statuses: ReadonlySet<number>;
  /** As decimal numbers: what `grpc-status` says. */
  readonly grpcStatuses: ReadonlySet<string>;
  readonly to: OtherDestination | null;
  readonly stale: StaleSettings | null;
  readonly answer: FixedAnswer | null;
}

export interface OtherDestination {
  readonly service: string;
  /** '' for the usual one. */
  readonly port: string;
  readonly labels: readonly string[];
  /** Of the request body. */
  readonly replayBytes: number;
}

export interface StaleSettings {
  readonly maxAgeMs: number;
  readonly entries: number;
  readonly bytes: number;
  /** Of one answer. */
  readonly bodyBytes: number;
  readonly keyHeaders: readonly string[];
  /** Answers to requests with credentials are kept too. */
  readonly authorized: boolean;
}

export interface FixedAnswer {
  readonly status: number;
  /** Values are templates. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: string;
  /** 0: gRPC requests are not answered. */
  readonly grpcStatus: number;
}

export const fallbackWire = { name: 'fallback', format: 1, decode: decodeFallback, reasons: [destinationFailed] } as const;

function decodeFallback(bytes: Uint8Array): FallbackSettings {
  const { onFailure, reasons, statuses, grpcStatuses, to, stale, answer } = decodeMessage(Fallback, bytes);
  return Object.freeze({
    onFailure,
    reasons: new Set(boundedList(reasons, '/when', 64).map((code) => boundedText(code, '/when', 64, /^[a-z0-9-]+$/))),
    statuses: new Set(boundedList(statuses, '/when', 200).map((status) => wholeNumber(status, '/when', 400, 599))),
    grpcStatuses: new Set(boundedList(grpcStatuses, '/when', 16).map((code) => String(wholeNumber(code, '/when', 1, 16)))),
    to: to === undefined ? null : readDestination(to),
    stale: stale === undefined ? null : readStale(stale),
    answer: answer === undefined ? null : readAnswer(answer),
  });
}

function readDestination({ service, port, labels, replayBytes }: NonNullable<Fallback['to']>): OtherDestination {
  return Object.freeze({
    service: boundedText(service, '/to/service', 63, /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/),
    port: boundedText(port, '/to/port', 63),
    labels: boundedList(labels, '/to/labels', 64).map((label) => boundedText(label, '/to/labels', 320, /=/)),
    replayBytes: wholeNumber(replayBytes, '/to/replayBuffer', 0, 1024 * 1024),
  });
}

function readStale({ maxAgeMs, entries, bytes, bodyBytes, keyHeaders, authorized }: NonNullable<Fallback['stale']>): StaleSettings {
  return Object.freeze({
    maxAgeMs: wholeNumber(Number(maxAgeMs), '/stale/maxAge', 1000, 30 * 86_400_000),
    entries: wholeNumber(entries, '/stale/entries', 1, 100_000),
    bytes: wholeNumber(Number(bytes), '/stale/bytes', 64 * 1024, 1024 ** 3),
    bodyBytes: wholeNumber(bodyBytes, '/stale/bodyMax', 1, 8 * 1024 * 1024),
    keyHeaders: boundedList(keyHeaders, '/stale/keyHeaders', 16).map((name) => wireHeaderName(name, '/stale/keyHeaders')),
    authorized,
  });
}

function readAnswer({ status, headers, body, grpcStatus }: NonNullable<Fallback['answer']>): FixedAnswer {
  return Object.freeze({
    status: wholeNumber(status, '/answer/status', 200, 599),
    headers: boundedList(headers, '/answer/headers', 64).map(({ name, value }) => ({ name: wireHeaderName(name, '/answer/headers'), value: boundedText(value, `/answer/headers/${name}`, 4096) })),
    body: boundedText(body, '/answer/body', 16_384),
    grpcStatus: wholeNumber(grpcStatus, '/answer/grpcStatus', 0, 16),
  });
}
