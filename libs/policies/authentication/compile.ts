import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { asksWho } from '@remora/policy-kit/entry-match';
import { compileEntryMatch } from '@remora/policy-kit/entry-match-schema';
import { credentialKinds } from '@remora/policy-kit/request-identity';
import { Authentication } from './gen/authentication.ts';
import { authenticationDefaults, authenticationSchema, checkAmong, checkAuthentication, requiredKinds, type EffectiveAuthentication } from './schema.ts';

/** Who must show what: provider side, wherever credentials are looked for. */
export const authenticationAuthoring: AuthoringKind = {
  name: 'authentication',
  side: 'provider',
  always: false,
  impliedBy: credentialKinds.filter((kind) => kind !== 'mesh'),
  shadow: true,
  format: 2,
  schema: authenticationSchema,
  defaults: authenticationDefaults,
  consumers: true,
  check: checkAuthentication,
  checkAmong,
  brings: requiredKinds,
  compile: (effective, inEffect = []) => {
    const message = toMessage(effective, inEffect);
    return { minFormat: message.exempt.some(({ match = {} }) => asksWho(match)) ? 2 : 1, body: Authentication.encode(message).finish() };
  },
};

function toMessage({ require, exempt = {}, unmapped, anonymous }: EffectiveAuthentication, inEffect: readonly string[]): Authentication {
  return {
    any: sorted(require !== undefined && 'any' in require ? require.any : []),
    all: sorted(require !== undefined && 'all' in require ? require.all : []),
    inEffect: sorted(inEffect),
    refuseUnmapped: unmapped === 'refuse',
    anonymous: anonymous ?? '',
    exempt: Object.entries(exempt).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, match]) => ({ name, match: compileEntryMatch(match) })),
  };
}

function sorted(kinds: readonly string[]): string[] {
  return [...new Set(kinds)].sort();
}
