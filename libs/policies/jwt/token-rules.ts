import type { Json } from '@remora/core/canonical-json';
import type { Reason } from '@remora/errors/reason';
import { claimValue } from '@remora/policy-kit/claim-value';
import { jwtAudience, jwtClaims, jwtInvalid } from './reasons.ts';
import type { ClaimRule, TokenRules } from './wire.ts';

type Claims = Readonly<Record<string, Json>>;

/** When a token holds by the rules of one policy, leeway included: Unix milliseconds. */
export interface TokenTimes {
  readonly notBeforeMs: number;
  readonly expiresMs: number;
}

export interface RuleProblem {
  readonly reason: Reason;
  readonly detail: string;
}

/** RFC 7519 sections 4.1.4 to 4.1.6. A token that does not say when it ends is not accepted. */
export function timesOf(claims: Claims, { leewayMs, maxAgeMs }: TokenRules): TokenTimes | RuleProblem {
  const { exp, nbf, iat } = claims;
  if (!isTime(exp)) return invalid(exp === undefined ? 'it does not say when it ends (exp)' : 'exp is no time');
  if (nbf !== undefined && !isTime(nbf)) return invalid('nbf is no time');
  if (iat !== undefined && !isTime(iat)) return invalid('iat is no time');
  if (maxAgeMs > 0 && iat === undefined) return invalid('it does not say when it was made (iat)');
  const expiresMs = Math.min(exp * 1000, maxAgeMs > 0 && iat !== undefined ? iat * 1000 + maxAgeMs : Number.POSITIVE_INFINITY) + leewayMs;
  // What was made in the future was made by a clock that nothing is to be believed from.
  return { expiresMs, notBeforeMs: Math.max(nbf ?? 0, iat ?? 0) * 1000 - leewayMs };
}

/** What the token does not say that it must say; null: nothing. */
export function ruleProblem(claims: Claims, type: string, rules: TokenRules): RuleProblem | null {
  const { sub, aud } = claims;
  if (sub !== undefined && typeof sub !== 'string') return invalid('sub is no text');
  if (aud !== undefined && typeof aud !== 'string' && !(Array.isArray(aud) && aud.every((one) => typeof one === 'string'))) return invalid('aud is neither a text nor a list of texts');
  if (type !== '' && rules.types.length > 0 && !rules.types.includes(type)) return invalid(`its typ is ${JSON.stringify(type)}, and none of ${rules.types.join(', ')}`);
  if (rules.audiences.length > 0 && !namesOne(aud, rules.audiences)) return { reason: jwtAudience, detail: `aud is ${shown(aud)}, and none of ${rules.audiences.slice(0, 8).join(', ')}` };
  for (const rule of rules.requiredClaims) if (!holds(rule, claimValue(claims, rule.claim))) return { reason: jwtClaims, detail: `${rule.claim} is ${shown(claimValue(claims, rule.claim))}; ${wanted(rule)}` };
  return null;
}

function isTime(value: Json | undefined): value is number {
  return typeof value === 'number' && value >= 0 && value < 1e11;
}

function namesOne(aud: Json | undefined, audiences: readonly string[]): boolean {
  return typeof aud === 'string' ? audiences.includes(aud) : Array.isArray(aud) && aud.some((one) => typeof one === 'string' && audiences.includes(one));
}

function holds({ mode, values }: ClaimRule, value: Json | undefined): boolean {
  if (mode === 'present') return value !== undefined && value !== null;
  const has = valuesOf(value);
  return mode === 'anyOf' ? values.some((one) => has.includes(one)) : values.every((one) => has.includes(one));
}

/** A list as it is; a text, and its words: scopes are one text with spaces (RFC 8693 section 4.2). */
function valuesOf(value: Json | undefined): readonly string[] {
  if (Array.isArray(value)) return value.map(String);
  if (typeof value === 'string') return value.includes(' ') ? [value, ...value.split(' ')] : [value];
  return typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : [];
}

function wanted({ mode, values }: ClaimRule): string {
  if (mode === 'present') return 'it must be there';
  return `${mode === 'anyOf' ? 'one' : 'all'} of ${values.slice(0, 8).join(', ')} must be there`;
}

function shown(value: Json | undefined): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 120);
}

function invalid(detail: string): RuleProblem {
  return { reason: jwtInvalid, detail };
}
