import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Hedging } from './gen/hedging.ts';
import { checkHedging, hedgingSchema, type EffectiveHedging } from './schema.ts';

/** What the control plane knows of hedging: caller side. */
export const hedgingAuthoring: AuthoringKind = {
  name: 'hedging',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: hedgingSchema,
  defaults: {},
  check: checkHedging,
  compile: (effective) => ({ minFormat: 1, body: Hedging.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveHedging): Hedging {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
