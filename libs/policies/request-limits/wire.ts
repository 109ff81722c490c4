import { decodeMessage, oneWord, wholeNumber } from '@remora/policy-kit/wire-check';
import { RequestLimits } from './gen/request-limits.ts';

/**
 * What a client may cost. The engine enforces everything but `bodyBytesMax`, `grpcMessageBytesMax` and `tunnelBytesMax` on the connection, with the
 * settings of its listener or inbound port; the filter enforces the first two per route, and hands `tunnelBytesMax` to the exchange.
 */
export interface RequestLimitsSettings {
  /** Client connections open at once, per listener; `unlimited` for none. */
  readonly connectionsMax: number;
  /** Bytes of the request line and all fields. Beyond it 431 and close. */
  readonly headerBytesMax: number;
  /** Fields of a request. Beyond it 431 and close. */
  readonly headerCountMax: number;
  /** Bytes of a request body, framing not counted; `unlimited` for none, 0 for no body at all. */
  readonly bodyBytesMax: number;
  /** Bytes of one gRPC message of a request, as it is sent; `unlimited` for none. */
  readonly grpcMessageBytesMax: number;
  /** Bytes of both directions of a WebSocket, another upgrade or a TCP connection; `unlimited` for none. Beyond it the connection is ended. */
  readonly tunnelBytesMax: number;
  /** From the first byte of a request to the end of its head; 0 for none. Beyond it 408 and close. */
  readonly headerTimeoutMs: number;
  /** Longest silence while a request body is awaited and nobody holds it back; 0 for none. Beyond it 408 and close. */
  readonly bodyTimeoutMs: number;
  /**
   * Bytes per second that a request body must bring on average, looked at from `bodyRateGraceMs` on, time in which we hold
   * it back not counted; 0 for none. Beyond it 408 and close.
   */
  readonly bodyRateMin: number;
  /** A connection without a request; 0 for none. Closed without an answer. */
  readonly idleTimeoutMs: number;
  /** Requests after which a connection is closed; `unlimited` for none. */
  readonly requestsPerConnectionMax: number;
  /** HTTP/2: requests that a connection may have open at once. Beyond it REFUSED_STREAM. */
  readonly streamsMax: number;
  /** HTTP/1.1: an end of the client's side behind a whole request ends the exchange, as if the connection had broken. */
  readonly halfCloseCancels: boolean;
}

/** No limit, as a number that every count and size is below. */
export const unlimited: number = Number.MAX_SAFE_INTEGER;

/** The slowest body rate is looked at after this time. */
export const bodyRateGraceMs = 5_000;

export const headerBytesMin = 1024;
export const headerBytesMax = 1024 ** 2;
export const headerCountMax = 1000;
/** What RFC 9113 section 6.5.2 recommends at least. */
export const streamsPerConnectionDefault = 100;
export const streamsPerConnectionMax = 10_000;

const dayMs = 86_400_000;

export const requestLimitsWire = { name: 'requestLimits', format: 2, decode: decodeRequestLimits } as const;

/** Limits where no settings are in force, e.g. before the first snapshot: the defaults of the kind. */
export const defaultRequestLimits: RequestLimitsSettings = Object.freeze({
  connectionsMax: 50_000,
  headerBytesMax: 64 * 1024,
  headerCountMax: 100,
  bodyBytesMax: unlimited,
  grpcMessageBytesMax: unlimited,
  tunnelBytesMax: unlimited,
  headerTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  bodyRateMin: 240,
  idleTimeoutMs: 60_000,
  requestsPerConnectionMax: unlimited,
  streamsMax: streamsPerConnectionDefault,
  halfCloseCancels: false,
});

function decodeRequestLimits(bytes: Uint8Array): RequestLimitsSettings {
  const message = decodeMessage(RequestLimits, bytes);
  const body = message.bodyBytes === undefined ? unlimited : Number(message.bodyBytes);
  return Object.freeze({
    connectionsMax: limit(message.connections, '/connections', 1_000_000),
    headerBytesMax: wholeNumber(message.headerBytes, '/headerBytes', headerBytesMin, headerBytesMax),
    headerCountMax: wholeNumber(message.headerCount, '/headerCount', 1, headerCountMax),
    bodyBytesMax: wholeNumber(body, '/bodyBytes', 0, unlimited),
    grpcMessageBytesMax: wholeNumber(message.grpcMessageBytes ?? unlimited, '/grpcMessageBytes', 0, unlimited),
    tunnelBytesMax: wholeNumber(message.tunnelBytes === undefined ? unlimited : Number(message.tunnelBytes), '/tunnelBytes', 1, unlimited),
    headerTimeoutMs: wholeNumber(message.headerTimeoutMs, '/headerTimeout', 0, dayMs / 24),
    bodyTimeoutMs: wholeNumber(message.bodyTimeoutMs, '/bodyTimeout', 0, dayMs),
    bodyRateMin: wholeNumber(message.bodyRateMin, '/minBodyRate', 0, 1024 ** 3),
    idleTimeoutMs: wholeNumber(message.idleTimeoutMs, '/idleTimeout', 0, dayMs),
    requestsPerConnectionMax: limit(message.requestsPerConnection, '/requestsPerConnection', 1_000_000_000),
    streamsMax: wholeNumber(message.streamsPerConnection ?? streamsPerConnectionDefault, '/streamsPerConnection', 1, streamsPerConnectionMax),
    halfCloseCancels: oneWord(message.halfClose || 'serve', '/halfClose', ['serve', 'cancel'] as const) === 'cancel',
  });
}

function limit(value: number, pointer: string, max: number): number {
  return value === 0 ? unlimited : wholeNumber(value, pointer, 1, max);
}
