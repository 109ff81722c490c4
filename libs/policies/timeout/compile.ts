import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Timeout } from './gen/timeout.ts';
import { checkTimeout, timeoutDefaults, timeoutSchema, type EffectiveTimeout } from './schema.ts';

/** Time limits of calls: caller side, always on. */
export const timeoutAuthoring: AuthoringKind = {
  name: 'timeout',
  side: 'caller',
  tcp: true,
  always: true,
  shadow: false,
  format: 1,
  schema: timeoutSchema,
  defaults: timeoutDefaults,
  check: checkTimeout,
  compile: (effective) => ({ minFormat: 1, body: Timeout.encode(toMessage(effective as EffectiveTimeout)).finish() }),
};

function toMessage(effective: EffectiveTimeout): Timeout {
  const ms = (field: keyof EffectiveTimeout): number => parseDurationMs(effective[field]) ?? 0;
  return { connectMs: ms('connect'), requestMs: ms('request'), idleMs: ms('idle'), perTryMs: ms('perTry'), maxStreamMs: ms('maxStream'), tunnelIdleMs: ms('tunnelIdle') };
}
