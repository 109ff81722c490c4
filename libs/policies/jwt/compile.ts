import { canonicalJson, type Json } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { compileClaimHeaders } from '@remora/policy-kit/tokens/claim-headers-schema';
import { compileTokenPlace } from '@remora/policy-kit/tokens/token-place-schema';
import { plainType } from '@remora/policy-kit/tokens/compact-token';
import { publicKeyAlgorithms, sharedKeyAlgorithms } from '@remora/policy-kit/tokens/signature-algorithm';
import { Jwt, type ClaimRule, type Issuer, type TokenRules } from './gen/jwt.ts';
import { checkJwt, issuerDefaults, jwtDefaults, jwtSchema, type EffectiveIssuer, type EffectiveJwt, type EffectiveRules } from './schema.ts';

/** What the control plane knows of jwt: provider side. */
export const jwtAuthoring: AuthoringKind = {
  name: 'jwt',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  consumers: ['jwt'],
  schema: jwtSchema,
  defaults: jwtDefaults,
  entryDefaults: { '/issuers/*': issuerDefaults },
  check: checkJwt,
  compile: (effective) => ({ minFormat: 1, body: Jwt.encode(toMessage(effective)).finish() }),
};

function toMessage({ issuers = {}, tokenFrom = [], claimsToHeaders = {}, forwardToken = true, otherTokens, consumerTokens }: EffectiveJwt): Jwt {
  return {
    issuers: Object.keys(issuers).sort().flatMap((name) => (issuers[name] ? [toIssuer(name, issuers[name])] : [])),
    tokenFrom: tokenFrom.map(compileTokenPlace),
    claimsToHeaders: compileClaimHeaders(claimsToHeaders),
    forwardToken,
    ignoreOtherTokens: otherTokens === 'ignore',
    consumerTokens: consumerTokens?.accepted === true ? toRules({ ...consumerTokenDefaults, ...consumerTokens }) : undefined,
  };
}

function toIssuer(name: string, issuer: EffectiveIssuer): Issuer {
  return {
    name,
    issuer: issuer.issuer ?? '',
    jwksUri: issuer.jwksUri ?? '',
    jwks: issuer.jwks === undefined ? '' : canonicalJson(issuer.jwks as Json),
    allowPrivateAddresses: issuer.allowPrivateAddresses ?? false,
    keysMaxAgeSeconds: seconds(issuer.keysMaximumAge),
    rules: toRules(issuer),
  };
}

function toRules({ audiences = [], algorithms = [], requiredClaims = {}, leeway, maximumAge, types = [] }: EffectiveRules): TokenRules {
  return {
    algorithms: [...new Set(algorithms)].sort(),
    audiences: [...new Set(audiences)].sort(),
    requiredClaims: Object.keys(requiredClaims).sort().flatMap((claim) => toClaimRule(claim, requiredClaims[claim])),
    leewaySeconds: seconds(leeway),
    maxAgeSeconds: seconds(maximumAge),
    types: [...new Set(types.map(plainType))].sort(),
  };
}

function toClaimRule(claim: string, rule: NonNullable<EffectiveRules['requiredClaims']>[string] | undefined): ClaimRule[] {
  if (rule === undefined) return [];
  if ('anyOf' in rule) return [{ claim, mode: 'anyOf', values: [...new Set(rule.anyOf)].sort() }];
  return [{ claim, mode: 'allOf' in rule ? 'allOf' : 'present', values: 'allOf' in rule ? [...new Set(rule.allOf)].sort() : [] }];
}

/** Rounded up: a fraction of a second is none for tokens. */
function seconds(text: string | undefined): number {
  return text === undefined ? 0 : Math.ceil((parseDurationMs(text) ?? 0) / 1000);
}

const consumerTokenDefaults = { leeway: '30s', algorithms: [...publicKeyAlgorithms, ...sharedKeyAlgorithms], types: ['jwt', 'at+jwt'] };
