import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { HealthCheck } from './gen/health-check.ts';
import { checkHealthCheck, healthCheckSchema, type EffectiveHealthCheck } from './schema.ts';

/** What the control plane knows of healthCheck: caller side. */
export const healthCheckAuthoring: AuthoringKind = {
  name: 'healthCheck',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: healthCheckSchema,
  defaults: {},
  check: checkHealthCheck,
  compile: (effective) => ({ minFormat: 1, body: HealthCheck.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveHealthCheck): HealthCheck {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
