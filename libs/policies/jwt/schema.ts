import type { Json, JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { duration, entryName, oneOf, type IssueParams } from '@remora/policy-kit/scalars';
import { canVerify, readKeySet } from '@remora/policy-kit/tokens/key-set';
import { checkClaimHeaders, claimHeadersSchema, claimName } from '@remora/policy-kit/tokens/claim-headers-schema';
import { tokenPlacesSchema } from '@remora/policy-kit/tokens/token-place-schema';
import { hasControl } from '@remora/policy-kit/tokens/control-characters';
import { publicKeyAlgorithms, sharedKeyAlgorithms } from '@remora/policy-kit/tokens/signature-algorithm';
import { z } from 'zod';
import { jwtMax } from './wire.ts';

const hourMs = 3_600_000;

const claimRule = z.union([
  z.strictObject({ present: z.literal(true) }),
  z.strictObject({ anyOf: z.array(text(1024, 'a value')).min(1).max(jwtMax.claimValues) }),
  z.strictObject({ allOf: z.array(text(1024, 'a value')).min(1).max(jwtMax.claimValues) }),
], { error: () => 'must be {present: true}, {anyOf: [...]} or {allOf: [...]}' });

const rules = {
  audiences: z.array(text(1024, 'an audience')).min(1).max(jwtMax.audiences).optional(),
  anyAudience: z.boolean().optional(),
  algorithms: z.array(oneOf(publicKeyAlgorithms)).min(1).max(publicKeyAlgorithms.length).optional(),
  requiredClaims: z.record(claimName(), claimRule).optional(),
  leeway: duration({ min: 0, max: 300_000 }).optional(),
  maximumAge: duration({ min: 1000, max: 30 * 24 * hourMs }).optional(),
  types: z.array(text(64, 'a type such as at+jwt')).min(1).max(jwtMax.types).optional(),
};

const issuerSchema = z.strictObject({
  issuer: text(2048, 'an issuer as its tokens name it, such as https://login.example/realms/shop').optional(),
  jwksUri: text(2048, 'an address such as https://login.example/keys').optional(),
  jwks: z.record(z.string(), z.unknown()).meta({ description: 'a JSON Web Key Set with public keys' }).optional(),
  allowPrivateAddresses: z.boolean().optional(),
  keysMaximumAge: duration({ min: 60_000, max: 30 * 24 * hourMs }).optional(),
  ...rules,
});

/** `jwt` as authored. */
export const jwtSchema = z.strictObject({
  issuers: z.record(entryName(), issuerSchema).optional(),
  tokenFrom: tokenPlacesSchema().optional(),
  claimsToHeaders: claimHeadersSchema().optional(),
  forwardToken: z.boolean().optional(),
  otherTokens: oneOf(['refuse', 'ignore']).optional(),
  consumerTokens: z.strictObject({
    ...rules, accepted: z.boolean().optional(), algorithms: z.array(oneOf([...publicKeyAlgorithms, ...sharedKeyAlgorithms])).min(1).max(20).optional(),
  }).optional(),
});

export const jwtDefaults: JsonObject = {
  tokenFrom: [{ header: 'authorization', scheme: 'Bearer' }], forwardToken: true, otherTokens: 'refuse',
};

export const issuerDefaults: JsonObject = {
  allowPrivateAddresses: false, anyAudience: false, leeway: '30s', keysMaximumAge: '24h', algorithms: [...publicKeyAlgorithms], types: ['jwt', 'at+jwt'],
};

export type EffectiveIssuer = z.output<typeof issuerSchema>;
export type EffectiveJwt = z.output<typeof jwtSchema>;
export type EffectiveRules = Pick<EffectiveIssuer, 'audiences' | 'anyAudience' | 'algorithms' | 'requiredClaims' | 'leeway' | 'maximumAge' | 'types'>;

/** What a section says that cannot work. */
export function checkJwt(effective: JsonObject): Violation[] {
  const section = effective as unknown as EffectiveJwt;
  const { issuers = {}, claimsToHeaders = {}, consumerTokens } = section;
  const names = Object.keys(issuers);
  const found: Violation[] = names.length > jwtMax.issuers ? [tooMany('/issuers', names.length, 'issuers', jwtMax.issuers)] : [];
  if (names.length === 0 && consumerTokens?.accepted !== true) {
    found.push({ pointer: '/issuers', code: 'missing-field', message: 'tokens of nobody would be accepted', expected: 'at least one issuer, or consumerTokens: {accepted: true}' });
  }
  const seen = new Map<string, string>();
  for (const name of names) {
    const issuer = issuers[name];
    if (issuer === undefined) continue;
    const pointer = joinPointer('/issuers', name);
    found.push(...checkIssuer(issuer, pointer), ...checkRules(issuer, pointer));
    const other = issuer.issuer === undefined ? undefined : seen.get(issuer.issuer);
    if (other !== undefined) found.push({ pointer: `${pointer}/issuer`, code: 'duplicate', message: `${other} is the same issuer`, expected: 'one entry for each issuer' });
    else if (issuer.issuer !== undefined) seen.set(issuer.issuer, name);
  }
  if (consumerTokens?.accepted === true) found.push(...checkRules(consumerTokens, '/consumerTokens'));
  return [...found, ...checkClaimHeaders(claimsToHeaders, section.tokenFrom ?? [])];
}

function checkIssuer({ issuer, jwksUri, jwks, allowPrivateAddresses = false, algorithms = [] }: EffectiveIssuer, pointer: string): Violation[] {
  if (issuer === undefined) return [{ pointer: `${pointer}/issuer`, code: 'missing-field', message: 'an issuer needs its name', expected: 'the text that its tokens have as iss' }];
  if (jwks !== undefined) {
    if (jwksUri !== undefined) return [{ pointer: `${pointer}/jwksUri`, code: 'contradiction', message: 'the keys stand in jwks already', expected: 'jwks or jwksUri' }];
    return checkInline(jwks as Json, algorithms, `${pointer}/jwks`);
  }
  const field = jwksUri === undefined ? 'issuer' : 'jwksUri';
  const problem = addressProblem(jwksUri ?? issuer, allowPrivateAddresses);
  if (problem === null) return [];
  const message = field === 'issuer' ? `keys are found by way of the issuer, and this one ${problem}` : `the address ${problem}`;
  return [{ pointer: `${pointer}/${field}`, code: 'invalid-address', message, expected: field === 'issuer' ? 'an https address, or jwksUri or jwks' : 'an https address' }];
}

/** Sent by anybody on the way, keys would be anybody's: http is for the own network only. */
function addressProblem(address: string, allowPrivate: boolean): string | null {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null) return 'is no address';
  if (url.username !== '' || url.password !== '') return 'has a user name';
  if (url.hash !== '' || url.search !== '') return 'has a query or a fragment';
  if (url.protocol === 'https:') return null;
  if (url.protocol !== 'http:') return 'is not of https';
  return allowPrivate ? null : 'is not of https: plain http is for private addresses, with allowPrivateAddresses';
}

function checkInline(jwks: Json, algorithms: readonly string[], pointer: string): Violation[] {
  if (JSON.stringify(jwks).length > jwtMax.inlineBytes) return [{ pointer, code: 'too-long', message: `more than ${jwtMax.inlineBytes} bytes`, expected: 'jwksUri' }];
  const read = readKeySet(jwks);
  if (typeof read === 'string') return [{ pointer, code: 'invalid-value', message: read, expected: '{keys: [...]} with public keys' }];
  if (read.left.length > 0) return read.left.map((problem) => ({ pointer, code: 'invalid-value', message: problem, expected: 'public keys for signatures' }));
  return canVerify(read.set, algorithms) ? [] : [{ pointer, code: 'contradiction', message: 'none of the keys can be used with one of the algorithms' }];
}

function checkRules({ audiences, anyAudience = false, requiredClaims = {} }: EffectiveRules, pointer: string): Violation[] {
  const found: Violation[] = [];
  if (audiences === undefined && !anyAudience) {
    found.push({ pointer: `${pointer}/audiences`, code: 'missing-field', message: 'without audiences, tokens meant for other services would be accepted', expected: 'the values of aud that are meant for this service, or anyAudience: true' });
  }
  if (audiences !== undefined && anyAudience) found.push({ pointer: `${pointer}/anyAudience`, code: 'contradiction', message: 'audiences are given' });
  const claims = Object.keys(requiredClaims).length;
  if (claims > jwtMax.requiredClaims) found.push(tooMany(`${pointer}/requiredClaims`, claims, 'claims', jwtMax.requiredClaims));
  return found;
}

function tooMany(pointer: string, count: number, what: string, max: number): Violation {
  return { pointer, code: 'too-many', message: `${count} ${what}, at most ${max} are accepted` };
}

function text(max: number, expected: string): z.ZodString {
  return checked(expected, (value) => value.length > 0 && value.length <= max && !hasControl(value));
}

function checked(expected: string, accepts: (value: string) => boolean): z.ZodString {
  return z.string({ error: () => `must be ${expected}` }).superRefine((value, context) => {
    if (!accepts(value)) context.addIssue({ code: 'custom', message: `${JSON.stringify(value.slice(0, 80))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}
