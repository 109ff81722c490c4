import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { BasicAuth } from './gen/basic-auth.ts';
import { basicAuthDefaults, basicAuthSchema, type EffectiveBasicAuth } from './schema.ts';

/** Names and passwords of the API's clients: provider side. */
export const basicAuthAuthoring: AuthoringKind = {
  name: 'basicAuth',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  consumers: ['basic'],
  schema: basicAuthSchema,
  defaults: basicAuthDefaults,
  compile: (effective) => ({ minFormat: 1, body: BasicAuth.encode(toMessage(effective)).finish() }),
};

function toMessage({ realm = '', forwardCredentials = false }: EffectiveBasicAuth): BasicAuth {
  return { realm, forwardCredentials };
}
