import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { compileClaimHeaders } from '@remora/policy-kit/tokens/claim-headers-schema';
import { compileTokenPlace } from '@remora/policy-kit/tokens/token-place-schema';
import { TokenIntrospection } from './gen/token-introspection.ts';
import { checkTokenIntrospection, tokenIntrospectionDefaults, tokenIntrospectionSchema, type EffectiveTokenIntrospection } from './schema.ts';

/** What the control plane knows of tokenIntrospection: provider side. */
export const tokenIntrospectionAuthoring: AuthoringKind = {
  name: 'tokenIntrospection',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  consumers: true,
  secrets: (effective) => {
    const { clientSecret }: EffectiveTokenIntrospection = effective;
    return clientSecret === undefined ? [] : [clientSecret.secret];
  },
  schema: tokenIntrospectionSchema,
  defaults: tokenIntrospectionDefaults,
  check: checkTokenIntrospection,
  compile: (effective) => ({ minFormat: 1, body: TokenIntrospection.encode(toMessage(effective)).finish() }),
};

function toMessage(section: EffectiveTokenIntrospection): TokenIntrospection {
  return {
    endpoint: section.endpoint ?? '',
    allowPrivateAddresses: section.allowPrivateAddresses ?? false,
    clientId: section.clientId ?? '',
    clientSecret: section.clientSecret?.secret ?? '',
    issuer: section.issuer ?? '',
    audiences: [...new Set(section.audiences)].sort(),
    scopes: [...new Set(section.scopes)].sort(),
    tokenFrom: (section.tokenFrom ?? []).map(compileTokenPlace),
    claimsToHeaders: compileClaimHeaders(section.claimsToHeaders ?? {}),
    forwardToken: section.forwardToken ?? true,
    opaqueOnly: section.tokens === 'opaque',
    cacheMs: parseDurationMs(section.cacheFor ?? '') ?? 0,
    rejectedMs: parseDurationMs(section.rejectedFor ?? '') ?? 0,
    deadlineMs: parseDurationMs(section.deadline ?? '') ?? 0,
  };
}
