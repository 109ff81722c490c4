import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ApiKey } from './gen/api-key.ts';
import { apiKeyDefaults, apiKeySchema, checkApiKey, type EffectiveApiKey } from './schema.ts';

/** Keys of the API's clients: provider side. */
export const apiKeyAuthoring: AuthoringKind = {
  name: 'apiKey',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  consumers: ['apiKey'],
  schema: apiKeySchema,
  defaults: apiKeyDefaults,
  check: checkApiKey,
  compile: (effective) => ({ minFormat: 1, body: ApiKey.encode(toMessage(effective)).finish() }),
};

function toMessage({ keyFrom = [], forwardKey = false }: EffectiveApiKey): ApiKey {
  return {
    forwardKey,
    keyFrom: keyFrom.map((place) => ('header' in place ? { kind: 'header', name: place.header.toLowerCase() } : 'query' in place ? { kind: 'query', name: place.query } : { kind: 'cookie', name: place.cookie })),
  };
}
