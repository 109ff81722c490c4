import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, oneOf, ratio, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { parseFactor } from './factor.ts';
import { preferences } from './host-levels.ts';
import { algorithms, cookieNamePattern, cookiePathPattern, hashPartPattern, hashPartsMax, ringPlaces, sameSiteWords, secureWords, usesHash } from './wire.ts';

/** `loadBalancing` as authored. */
export const loadBalancingSchema = z.strictObject({
  algorithm: oneOf(algorithms).optional(),
  choices: z.int().min(2).max(16).optional().meta({ description: 'hosts that peakEwma and leastRequest compare' }),
  hash: z.strictObject({
    by: z.array(hashPart()).min(1).max(hashPartsMax).optional(),
    places: z.int().min(ringPlaces.min).max(ringPlaces.max).optional(),
    boundedLoad: factor(0, 10).optional(),
  }).optional(),
  sticky: z.strictObject({
    cookie: matching(cookieNamePattern, 'a cookie name of at most 64 characters').optional(),
    ttl: duration({ max: 365 * 86_400_000 }).optional(),
    path: matching(cookiePathPattern, 'a path that begins with /, at most 256 characters').optional(),
    secure: oneOf(secureWords).optional(),
    sameSite: oneOf(sameSiteWords).optional(),
  }).optional(),
  slowStart: z.strictObject({
    window: duration({ max: 3_600_000 }).optional(), aggression: z.number().min(0.1).max(10).optional(), minWeight: ratio({ min: 0.01 }).optional(),
  }).optional(),
  locality: z.strictObject({ prefer: oneOf(preferences).optional(), overprovisioning: factor(1, 10).optional() }).optional(),
  panicThreshold: ratio().optional(),
});

function hashPart() {
  return matching(hashPartPattern, 'clientAddress, header.NAME, cookie.NAME or query.NAME');
}

function factor(min: number, max: number) {
  const expected = `a factor such as 1.4 or 140%, from ${min} to ${max}`;
  return z.union([z.number(), z.string().max(16)], { error: () => `must be ${expected}` }).superRefine((written, context) => {
    const value = parseFactor(written);
    if (value !== null && value >= min && value <= max) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(written)} is not ${expected}`, params: { code: value === null ? 'invalid-value' : 'out-of-range', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

function matching(pattern: RegExp, expected: string) {
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (pattern.test(text)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 60))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected, pattern: pattern.source });
}

type Authored = z.output<typeof loadBalancingSchema>;
type Filled<T> = { readonly [F in keyof T]-?: NonNullable<T[F]> };
type Nested = 'hash' | 'sticky' | 'slowStart' | 'locality';

/** The section with its defaults. Without `hash.by` there are no keys, without `sticky.cookie` no sessions. */
export type EffectiveLoadBalancing = Filled<Omit<Authored, Nested>> & {
  readonly hash: Filled<Omit<NonNullable<Authored['hash']>, 'by'>> & { readonly by?: readonly string[] };
  readonly sticky: Filled<Omit<NonNullable<Authored['sticky']>, 'cookie'>> & { readonly cookie?: string };
  readonly slowStart: Filled<NonNullable<Authored['slowStart']>>;
  readonly locality: Filled<NonNullable<Authored['locality']>>;
};

export const loadBalancingDefaults: JsonObject = {
  algorithm: 'peakEwma', choices: 2,
  hash: { places: 512, boundedLoad: 0 },
  sticky: { ttl: '0s', path: '/', secure: 'auto', sameSite: 'Lax' },
  slowStart: { window: '0s', aggression: 1, minWeight: '10%' },
  locality: { prefer: 'none', overprovisioning: '140%' },
  panicThreshold: '50%',
};

/** What would never do what its author means. */
export function checkLoadBalancing(effective: JsonObject): Violation[] {
  const { algorithm, hash, sticky, slowStart } = effective as unknown as EffectiveLoadBalancing;
  const violations: Violation[] = [];
  if (usesHash(algorithm) && hash.by === undefined) {
    violations.push({ pointer: '/hash/by', code: 'missing-field', message: `${algorithm} needs to know what keys are made of`, expected: 'a list such as [header.x-user, clientAddress]' });
  }
  const bound = parseFactor(hash.boundedLoad) ?? 0;
  if (bound > 0 && bound < 1.05) violations.push({ pointer: '/hash/boundedLoad', code: 'out-of-range', message: 'with a bound this close to the mean hardly any key stays where it belongs', expected: '0 for none, or 105% to 1000%' });
  if (usesHash(algorithm) && (parseDurationMs(slowStart.window) ?? 0) > 0) {
    violations.push({ pointer: '/slowStart/window', code: 'contradiction', message: `with ${algorithm} a host gets the requests of its keys from the start`, expected: '0s, or another algorithm' });
  }
  if (usesHash(algorithm) && sticky.cookie !== undefined) {
    violations.push({
      pointer: '/sticky/cookie', code: 'contradiction', message: `with ${algorithm} the key decides which host, with a session its cookie does: the key would only count for a client's first request`,
      expected: `hash.by: [cookie.${sticky.cookie}], or another algorithm`,
    });
  }
  if (sticky.sameSite === 'None' && sticky.secure === 'never') {
    violations.push({ pointer: '/sticky/secure', code: 'contradiction', message: 'browsers refuse cookies with SameSite=None that are not Secure', expected: 'always or auto' });
  }
  const ttl = parseDurationMs(sticky.ttl) ?? 0;
  if (ttl % 1000 !== 0) violations.push({ pointer: '/sticky/ttl', code: 'invalid-value', message: 'cookies live for whole seconds', expected: 'whole seconds' });
  return violations;
}
