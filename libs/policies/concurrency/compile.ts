import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Concurrency } from './gen/concurrency.ts';
import { checkConcurrency, concurrencySchema, type EffectiveConcurrency } from './schema.ts';

/** What the control plane knows of concurrency: provider side. */
export const concurrencyAuthoring: AuthoringKind = {
  name: 'concurrency',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: concurrencySchema,
  defaults: {},
  check: checkConcurrency,
  compile: (effective) => ({ minFormat: 1, body: Concurrency.encode(toMessage(effective)).finish() }),
};

function toMessage({ marks = {} }: EffectiveConcurrency): Concurrency {
  const named = Object.entries(marks).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  return { marks: named.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}
