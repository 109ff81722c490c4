import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, oneOf, ratio } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { connectionPoolMax, protocolWords } from './wire.ts';

const hourMs = 3_600_000;

/** `connectionPool` as authored. */
export const connectionPoolSchema = z.strictObject({
  connections: z.int().min(1).max(connectionPoolMax.connections).optional(),
  pending: z.int().min(0).max(connectionPoolMax.pending).optional(),
  requestsPerConnection: z.int().min(0).max(connectionPoolMax.requests).optional().meta({ description: '0: any number' }),
  idle: duration({ min: 100, max: 24 * hourMs }).optional(),
  maxAge: duration({ max: 24 * hourMs, zeroMeans: 'unlimited' }).optional(),
  maxAgeJitter: ratio({ max: 0.9 }).optional(),
  tcpKeepalive: duration({ max: 2 * hourMs }).optional(),
  protocol: oneOf(protocolWords).optional(),
  http2: z.strictObject({
    streams: z.int().min(1).max(connectionPoolMax.streams).optional(),
    ping: duration({ max: hourMs }).optional(),
    pingTimeout: duration({ min: 100, max: hourMs }).optional(),
    pingIdle: z.boolean().optional(),
  }).optional(),
});

type Authored = z.output<typeof connectionPoolSchema>;
type Filled<T> = { readonly [F in keyof T]-?: NonNullable<T[F]> };

/** The section with its defaults. */
export type EffectiveConnectionPool = Filled<Omit<Authored, 'http2'>> & { readonly http2: Filled<NonNullable<Authored['http2']>> };

/** As sidecars do it without the section. */
export const connectionPoolDefaults: JsonObject = {
  connections: 1024, pending: 1024, requestsPerConnection: 0, idle: '60s', maxAge: '0s', maxAgeJitter: '10%', tcpKeepalive: '0s', protocol: 'auto',
  http2: { streams: 1000, ping: '30s', pingTimeout: '10s', pingIdle: false },
};

/** What would end connections all the time, or never be noticed. */
export function checkConnectionPool(effective: JsonObject): Violation[] {
  const { maxAge, tcpKeepalive, http2 } = effective as unknown as EffectiveConnectionPool;
  const violations: Violation[] = [];
  const ageMs = parseDurationMs(maxAge) ?? 0;
  if (ageMs > 0 && ageMs < 1000) violations.push({ pointer: '/maxAge', code: 'out-of-range', message: 'connections that live for less than a second cost more than what is sent over them', expected: '0s for any age, or at least 1s' });
  const keepaliveMs = parseDurationMs(tcpKeepalive) ?? 0;
  if (keepaliveMs % 1000 !== 0) violations.push({ pointer: '/tcpKeepalive', code: 'invalid-value', message: 'the system knows whole seconds', expected: '0s, or whole seconds' });
  const pingMs = parseDurationMs(http2.ping) ?? 0;
  if (pingMs > 0 && pingMs < 1000) violations.push({ pointer: '/http2/ping', code: 'out-of-range', message: 'servers end connections that are asked more often than once a second', expected: '0s for none, or at least 1s' });
  return violations;
}
