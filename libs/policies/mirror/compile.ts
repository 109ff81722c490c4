import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Mirror } from './gen/mirror.ts';
import { checkMirror, mirrorSchema, type EffectiveMirror } from './schema.ts';

/** What the control plane knows of mirror: caller side. */
export const mirrorAuthoring: AuthoringKind = {
  name: 'mirror',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: mirrorSchema,
  defaults: {},
  check: checkMirror,
  compile: (effective) => ({ minFormat: 1, body: Mirror.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveMirror): Mirror {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
