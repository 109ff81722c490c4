import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { entryMatchSchema } from '@remora/policy-kit/entry-match-schema';
import { duration, entryName, oneOf, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';

export const limitsMax = 64;
export const requestsMax = 1_000_000_000;
const dayMs = 86_400_000;
const plainParts = ['clientAddress', 'method', 'path', 'route'];
/** Known after authorization only. */
const identityParts = ['consumer', 'caller'];
const claimPart = /^claim\.[^\p{Cc}]{1,256}$/u;

const limitSchema = z.strictObject({
  algorithm: oneOf(['tokenBucket', 'fixedWindow', 'slidingWindow', 'leakyBucket']).optional(),
  requests: z.int().min(1).max(requestsMax).optional(),
  per: duration({ min: 1, max: 30 * dayMs }).optional(),
  burst: z.int().min(0).max(requestsMax).optional(),
  key: z.array(keyPart()).max(8).optional(),
  keyRule: oneOf(['all', 'firstPresent']).optional(),
  cost: z.int().min(1).max(requestsMax).optional(),
  match: entryMatchSchema({ callers: true, consumers: true }).optional(),
  sharedBy: oneOf(['instance', 'service', 'fleet']).optional(),
  onStoreFailure: oneOf(['degrade', 'open', 'closed']).optional(),
  maxKeys: z.int().min(8).max(1_048_576).optional(),
});

/** `rateLimit` as authored. */
export const rateLimitSchema = z.strictObject({
  limits: z.record(entryName(), limitSchema).optional(),
  headerStyle: oneOf(['draft', 'legacy', 'kong', 'none']).optional(),
  plans: z.boolean().optional().meta({ description: 'whether the limits of a consumer\'s Plan hold here too' }),
});

export const rateLimitDefaults: JsonObject = { headerStyle: 'draft', plans: true };

export const limitDefaults: JsonObject = {
  algorithm: 'tokenBucket', key: [], keyRule: 'all', cost: 1, sharedBy: 'instance', onStoreFailure: 'degrade', maxKeys: 16_384,
};

export type AuthoredLimit = z.output<typeof limitSchema>;

/** A limit after defaults. `burst` stays open: what it means depends on the algorithm. */
export type EffectiveLimit = { readonly [F in Exclude<keyof AuthoredLimit, 'burst' | 'match'>]-?: NonNullable<AuthoredLimit[F]> } & Pick<AuthoredLimit, 'burst' | 'match'>;

export interface EffectiveRateLimit {
  readonly limits?: Readonly<Record<string, EffectiveLimit>>;
  readonly headerStyle: string;
  readonly plans: boolean;
}

/** What a limit counts by. */
function keyPart(): z.ZodString {
  const expected = `one of ${[...plainParts, ...identityParts].join(', ')}, header.<name>, query.<name>, claim.<path>`;
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (plainParts.includes(text) || identityParts.includes(text) || claimPart.test(text) || /^header\.[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(text) || /^query\.[^\s&=#]{1,128}$/.test(text)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is not something to count by`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** Longest time that a request may wait in a leaky bucket. */
export const waitMaxMs = 60_000;

/** What a section says that cannot work, per limit. */
export function checkRateLimit(effective: JsonObject): Violation[] {
  const { limits = {} } = effective as unknown as EffectiveRateLimit;
  const names = Object.keys(limits);
  const violations: Violation[] = names.length > limitsMax
    ? [{ pointer: '/limits', code: 'too-many', message: `${names.length} limits, at most ${limitsMax} are accepted` }] : [];
  for (const name of names) {
    const limit = limits[name];
    if (limit) violations.push(...checkLimit(`/limits/${name}`, limit));
  }
  return violations;
}

function checkLimit(pointer: string, limit: EffectiveLimit): Violation[] {
  const missing = (['requests', 'per'] as const).filter((field) => limit[field] === undefined);
  if (missing.length > 0) {
    return missing.map((field) => ({ pointer: `${pointer}/${field}`, code: 'missing-field', message: `a limit needs ${field}`, expected: field === 'per' ? 'a duration such as 1s or 1m' : 'a whole number' }));
  }
  const violations: Violation[] = [];
  const windowed = limit.algorithm === 'fixedWindow' || limit.algorithm === 'slidingWindow';
  if (windowed && limit.burst !== undefined) {
    violations.push({ pointer: `${pointer}/burst`, code: 'contradiction', message: `${limit.algorithm} has no burst: requests is what a window takes` });
  }
  const capacity = effectiveBurst(limit);
  if (!windowed && limit.algorithm === 'tokenBucket' && capacity < 1) {
    violations.push({ pointer: `${pointer}/burst`, code: 'contradiction', message: 'a token bucket without burst takes no request', expected: 'at least 1' });
  }
  const most = limit.algorithm === 'tokenBucket' ? capacity : limit.algorithm === 'leakyBucket' ? capacity + 1 : limit.requests;
  if (limit.cost > most) violations.push({ pointer: `${pointer}/cost`, code: 'contradiction', message: `a request costs ${limit.cost}, but the limit never takes more than ${most} at once` });
  const waitMs = limit.algorithm === 'leakyBucket' ? capacity * ((parseDurationMs(limit.per) ?? 0) / limit.requests) : 0;
  if (waitMs > waitMaxMs) {
    violations.push({ pointer: `${pointer}/burst`, code: 'out-of-range', message: `the last of ${capacity} waiting requests would wait ${Math.ceil(waitMs / 1000)}s`, expected: 'a queue that drains within 1m' });
  }
  return violations;
}

/** Token bucket: as much as one period gives. Leaky bucket: what drains within a second, at least one. */
export function effectiveBurst(limit: EffectiveLimit): number {
  if (limit.burst !== undefined) return limit.burst;
  if (limit.algorithm === 'tokenBucket') return limit.requests;
  if (limit.algorithm !== 'leakyBucket') return 0;
  return Math.max(1, Math.floor(limit.requests * (1000 / (parseDurationMs(limit.per) ?? 1000))));
}
