import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ErrorResponse, type ErrorRule } from './gen/error-response.ts';
import { checkErrorResponse, errorResponseDefaults, errorResponseSchema, type EffectiveErrorResponse, type EffectiveErrorRule } from './schema.ts';

/** How Remora's own answers look: provider side. */
export const errorResponseAuthoring: AuthoringKind = {
  name: 'errorResponse',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: errorResponseSchema,
  defaults: errorResponseDefaults,
  check: checkErrorResponse,
  compile: (effective) => ({ minFormat: 1, body: ErrorResponse.encode(toMessage(effective)).finish() }),
};

function toMessage({ responses = {} }: EffectiveErrorResponse): ErrorResponse {
  return { rules: sortedEntries(responses).map(([name, rule]) => toRule(name, rule)) };
}

function toRule(name: string, rule: EffectiveErrorRule): ErrorRule {
  return {
    name,
    reasons: [...new Set(rule.reasons ?? [])].sort(),
    classes: [...new Set(rule.classes ?? [])].sort().map((word) => Number(word.charAt(0))),
    status: rule.status ?? 0,
    headers: sortedEntries(rule.headers ?? {}).map(([header, template]) => ({ name: header.toLowerCase(), template })),
    bodies: sortedEntries(rule.bodies ?? {}).map(([contentType, template]) => ({ contentType, template })),
  };
}

function sortedEntries<V>(map: Readonly<Record<string, V>>): [string, V][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}
