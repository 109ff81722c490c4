import { parseRatio, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Mirror } from './gen/mirror.ts';
import { checkMirror, mirrorDefaults, mirrorSchema, type EffectiveMirror } from './schema.ts';

/** Copies of requests for another destination, whose answers nobody waits for: caller side. */
export const mirrorAuthoring: AuthoringKind = {
  name: 'mirror',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: mirrorSchema,
  defaults: mirrorDefaults,
  check: checkMirror,
  compile: (effective) => ({ minFormat: 1, body: Mirror.encode(toMessage(effective as unknown as EffectiveMirror)).finish() }),
};

function toMessage({ to, ratio, bodyMax, outstanding }: EffectiveMirror): Mirror {
  return {
    service: to?.service ?? '',
    port: to?.port ?? '',
    labels: Object.entries(to?.labels ?? {}).map(([key, value]) => `${key}=${value}`).sort(),
    ratio: parseRatio(ratio) ?? 0,
    bodyBytes: parseSizeBytes(bodyMax) ?? 0,
    outstanding,
  };
}
