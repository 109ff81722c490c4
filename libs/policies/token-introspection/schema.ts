import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { duration, oneOf, type IssueParams } from '@remora/policy-kit/scalars';
import { checkClaimHeaders, claimHeadersSchema } from '@remora/policy-kit/tokens/claim-headers-schema';
import { hasControl } from '@remora/policy-kit/tokens/control-characters';
import { tokenPlacesSchema } from '@remora/policy-kit/tokens/token-place-schema';
import { z } from 'zod';
import { introspectionMax } from './wire.ts';

/** `tokenIntrospection` as authored. */
export const tokenIntrospectionSchema = z.strictObject({
  endpoint: text(2048, 'an address such as https://login.example/introspect').optional(),
  allowPrivateAddresses: z.boolean().optional(),
  clientId: text(256, 'the name under which the endpoint knows this client').optional(),
  clientSecret: z.strictObject({ secret: secretName() }).optional(),
  issuer: text(2048, 'the issuer as identities of Consumers name it').optional(),
  audiences: z.array(text(1024, 'an audience')).min(1).max(introspectionMax.audiences).optional(),
  scopes: z.array(text(256, 'a scope')).min(1).max(introspectionMax.scopes).optional(),
  tokenFrom: tokenPlacesSchema().optional(),
  claimsToHeaders: claimHeadersSchema().optional(),
  forwardToken: z.boolean().optional(),
  tokens: oneOf(['any', 'opaque']).optional(),
  cacheFor: duration({ min: 0, max: 3_600_000 }).optional(),
  rejectedFor: duration({ min: 0, max: 300_000 }).optional(),
  deadline: duration({ min: 50, max: 10_000 }).optional(),
  onFailure: oneOf(['deny']).optional(),
});

export const tokenIntrospectionDefaults: JsonObject = {
  allowPrivateAddresses: false, tokenFrom: [{ header: 'authorization', scheme: 'Bearer' }], forwardToken: true, tokens: 'any', cacheFor: '1m', rejectedFor: '10s', deadline: '2s', onFailure: 'deny',
};

export type EffectiveTokenIntrospection = z.output<typeof tokenIntrospectionSchema>;

/** What a section says that cannot work. */
export function checkTokenIntrospection(effective: JsonObject): Violation[] {
  const section: EffectiveTokenIntrospection = effective;
  const found: Violation[] = (['endpoint', 'clientId', 'clientSecret'] as const).filter((field) => section[field] === undefined)
    .map((field) => ({ pointer: `/${field}`, code: 'missing-field', message: `introspection needs ${field}`, expected: expectedOf[field] }));
  const problem = section.endpoint === undefined ? null : addressProblem(section.endpoint, section.allowPrivateAddresses ?? false);
  if (problem !== null) found.push({ pointer: '/endpoint', code: 'invalid-address', message: `the address ${problem}`, expected: 'an https address' });
  return [...found, ...checkClaimHeaders(section.claimsToHeaders ?? {}, section.tokenFrom ?? [])];
}

const expectedOf = { endpoint: 'an https address', clientId: 'a text', clientSecret: '{secret: NAME}' } as const;

/** Client secrets and tokens go there: plain http is for the own network only. */
function addressProblem(address: string, allowPrivate: boolean): string | null {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null) return 'is no address';
  if (url.username !== '' || url.password !== '' || url.hash !== '') return 'has a user name or a fragment';
  if (url.protocol === 'https:' || (url.protocol === 'http:' && allowPrivate)) return null;
  return url.protocol === 'http:' ? 'is not of https: plain http is for private addresses, with allowPrivateAddresses' : 'is not of https';
}

function secretName(): z.ZodString {
  return checked('the name of a Secret', (value) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value));
}

function text(max: number, expected: string): z.ZodString {
  return checked(expected, (value) => value.length > 0 && value.length <= max && !hasControl(value));
}

function checked(expected: string, accepts: (value: string) => boolean): z.ZodString {
  return z.string({ error: () => `must be ${expected}` }).superRefine((value, context) => {
    if (!accepts(value)) context.addIssue({ code: 'custom', message: `${JSON.stringify(value.slice(0, 80))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}
