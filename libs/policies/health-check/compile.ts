import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { HealthCheck } from './gen/health-check.ts';
import { checkHealthCheck, healthCheckDefaults, healthCheckSchema, parseStatusRange, type EffectiveHealthCheck } from './schema.ts';

/** Callers ask hosts whether they are well: caller side. */
export const healthCheckAuthoring: AuthoringKind = {
  name: 'healthCheck',
  side: 'caller',
  tcp: true,
  perDestination: true,
  always: false,
  shadow: true,
  format: 1,
  schema: healthCheckSchema,
  defaults: healthCheckDefaults,
  check: checkHealthCheck,
  compile: (effective) => ({ minFormat: 1, body: HealthCheck.encode(toMessage(effective as unknown as EffectiveHealthCheck)).finish() }),
};

function toMessage({ http, grpc, ...effective }: EffectiveHealthCheck): HealthCheck {
  const headers = Object.entries(http.headers ?? {}).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return {
    intervalMs: parseDurationMs(effective.interval) ?? 0,
    jitter: parseRatio(effective.jitter) ?? 0,
    timeoutMs: parseDurationMs(effective.timeout) ?? 0,
    unhealthyThreshold: effective.unhealthyThreshold,
    healthyThreshold: effective.healthyThreshold,
    protocol: effective.protocol ?? '',
    port: effective.port ?? '',
    http: {
      path: http.path, host: http.host ?? '', method: http.method, bodyContains: http.bodyContains ?? '',
      statuses: http.statuses.flatMap((written) => parseStatusRange(written) ?? []),
      headers: headers.sort((a, b) => (a.name < b.name ? -1 : 1)),
    },
    grpcService: grpc.service,
  };
}
