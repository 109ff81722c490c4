import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Cors } from './gen/cors.ts';
import { checkCors, corsDefaults, corsSchema, type EffectiveCors } from './schema.ts';

/** Which pages of other origins may read the answers: provider side. */
export const corsAuthoring: AuthoringKind = {
  name: 'cors',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: corsSchema,
  defaults: corsDefaults,
  check: checkCors,
  compile: (effective) => ({ minFormat: 1, body: Cors.encode(toMessage(effective as unknown as EffectiveCors)).finish() }),
};

function toMessage(effective: EffectiveCors): Cors {
  const { origins, methods, headers } = effective;
  const texts = origins.filter((origin) => typeof origin === 'string');
  return {
    anyOrigin: texts.includes('*'),
    exact: sortedSet(texts.filter((text) => text !== '*' && !text.includes('://*.'))),
    suffixes: sortedSet(texts.filter((text) => text.includes('://*.'))),
    regexes: sortedSet(origins.flatMap((origin) => (typeof origin === 'string' ? [] : [origin.regex]))),
    methods: methods === '*' ? [] : [...new Set(methods)],
    anyMethod: methods === '*',
    headers: headers === '*' ? [] : sortedSet(headers.map((name) => name.toLowerCase())),
    anyHeader: headers === '*',
    expose: sortedSet(effective.expose.map((name) => name.toLowerCase())),
    credentials: effective.credentials,
    maxAgeSeconds: Math.floor((parseDurationMs(effective.maxAge) ?? 0) / 1000),
    privateNetwork: effective.privateNetwork,
  };
}

function sortedSet(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
