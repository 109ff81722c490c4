import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Fallback } from './gen/fallback.ts';
import { checkFallback, fallbackSchema, type EffectiveFallback } from './schema.ts';

/** What the control plane knows of fallback: caller side. */
export const fallbackAuthoring: AuthoringKind = {
  name: 'fallback',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: fallbackSchema,
  defaults: {},
  check: checkFallback,
  compile: (effective) => ({ minFormat: 1, body: Fallback.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveFallback): Fallback {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
