import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ConnectionPool } from './gen/connection-pool.ts';
import { checkConnectionPool, connectionPoolDefaults, connectionPoolSchema, type EffectiveConnectionPool } from './schema.ts';

/** The connections of callers: caller side, one setting for each caller and destination. */
export const connectionPoolAuthoring: AuthoringKind = {
  name: 'connectionPool',
  side: 'caller',
  tcp: true,
  always: false,
  shadow: false,
  format: 1,
  schema: connectionPoolSchema,
  perDestination: true,
  defaults: connectionPoolDefaults,
  check: checkConnectionPool,
  compile: (effective) => ({ minFormat: 1, body: ConnectionPool.encode(toMessage(effective as unknown as EffectiveConnectionPool)).finish() }),
};

function toMessage({ connections, pending, requestsPerConnection, idle, maxAge, maxAgeJitter, tcpKeepalive, protocol, http2 }: EffectiveConnectionPool): ConnectionPool {
  const ms = (text: string): number => parseDurationMs(text) ?? 0;
  return {
    connections, pending, requestsPerConnection, protocol,
    idleMs: ms(idle), maxAgeMs: ms(maxAge), maxAgeJitter: parseRatio(maxAgeJitter) ?? 0, tcpKeepaliveMs: ms(tcpKeepalive),
    streams: http2.streams, pingMs: ms(http2.ping), pingTimeoutMs: ms(http2.pingTimeout), pingIdle: http2.pingIdle,
  };
}
