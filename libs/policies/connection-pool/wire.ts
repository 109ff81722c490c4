import { decodeMessage, oneWord, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { ConnectionPool } from './gen/connection-pool.ts';

export const protocolWords = ['auto', 'http1'] as const;

/** What a data thread opens towards one host, and how long it keeps it. Milliseconds; 0: none, or no limit. */
export interface ConnectionPoolSettings {
  readonly connections: number;
  /** Calls that wait for a connection. */
  readonly pending: number;
  readonly requestsPerConnection: number;
  readonly idleMs: number;
  readonly maxAgeMs: number;
  /** Share of the age by which a connection may end earlier, so that not all end at once. */
  readonly maxAgeJitter: number;
  readonly tcpKeepaliveMs: number;
  /** `auto`: HTTP/2 wherever the host takes it. */
  readonly protocol: (typeof protocolWords)[number];
  /** HTTP/2: calls that one connection has at once, whatever the host allows. */
  readonly streams: number;
  readonly pingMs: number;
  readonly pingTimeoutMs: number;
  /** PINGs also while no call is under way. */
  readonly pingIdle: boolean;
}

export const connectionPoolMax = { connections: 100_000, pending: 100_000, requests: 1_000_000_000, streams: 100_000 } as const;
const hourMs = 3_600_000;

export const connectionPoolWire = { name: 'connectionPool', format: 1, decode: decodeConnectionPool } as const;

function decodeConnectionPool(bytes: Uint8Array): ConnectionPoolSettings {
  const message = decodeMessage(ConnectionPool, bytes);
  return Object.freeze({
    connections: wholeNumber(message.connections, '/connections', 1, connectionPoolMax.connections),
    pending: wholeNumber(message.pending, '/pending', 0, connectionPoolMax.pending),
    requestsPerConnection: wholeNumber(message.requestsPerConnection, '/requestsPerConnection', 0, connectionPoolMax.requests),
    idleMs: wholeNumber(message.idleMs, '/idle', 100, 24 * hourMs),
    maxAgeMs: wholeNumber(message.maxAgeMs, '/maxAge', 0, 24 * hourMs),
    maxAgeJitter: realNumber(message.maxAgeJitter, '/maxAgeJitter', 0, 0.9),
    tcpKeepaliveMs: wholeNumber(message.tcpKeepaliveMs, '/tcpKeepalive', 0, 2 * hourMs),
    protocol: oneWord(message.protocol, '/protocol', protocolWords),
    streams: wholeNumber(message.streams, '/http2/streams', 1, connectionPoolMax.streams),
    pingMs: wholeNumber(message.pingMs, '/http2/ping', 0, hourMs),
    pingTimeoutMs: wholeNumber(message.pingTimeoutMs, '/http2/pingTimeout', 100, hourMs),
    pingIdle: message.pingIdle,
  });
}
