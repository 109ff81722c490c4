import { parseDurationMs } from '@remora/core/units';
import { duration, entryName, oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { issue } from './issue.ts';
import { boundedRecord, documentName, labels } from './names.ts';

const dayMs = 86_400_000;
const requestsMax = 1_000_000_000;

const limitSchema = z.strictObject({
  requests: z.int().min(1).max(requestsMax).meta({ description: 'requests of each consumer' }),
  per: duration({ min: 1, max: 30 * dayMs }),
  algorithm: oneOf(['tokenBucket', 'fixedWindow', 'slidingWindow']).optional().meta({ description: 'default tokenBucket' }),
  burst: z.int().min(1).max(requestsMax).optional().meta({ description: 'of a token bucket: what it holds; default `requests`' }),
  sharedBy: oneOf(['instance', 'service', 'fleet']).optional().meta({ description: 'default instance' }),
}).superRefine(({ algorithm, burst }, context) => {
  if (burst !== undefined && algorithm !== undefined && algorithm !== 'tokenBucket') issue(context, 'contradiction', `${algorithm} has no burst: requests is what a window takes`, undefined, ['burst']);
});

const quotaSchema = z.strictObject({
  requests: z.int().min(1).max(requestsMax).meta({ description: 'requests of each consumer in a period' }),
  per: oneOf(['hour', 'day', 'month']).meta({ description: 'periods of the calendar' }),
  timeZone: z.string().superRefine((name, context) => {
    if (!isTimeZone(name)) issue(context, 'invalid-value', `${JSON.stringify(name.slice(0, 60))} is not a time zone`, 'a name such as Europe/Berlin');
  }).optional().meta({ description: 'whose days and months these are; default UTC' }),
  startsOn: z.int().min(1).max(28).optional().meta({ description: 'the day of the month on which a month begins; default 1' }),
  throttle: z.strictObject({ requests: z.int().min(1).max(requestsMax), per: duration({ min: 1, max: 3_600_000 }) }).optional()
    .meta({ description: 'what a consumer may still do when the quota is used up; default nothing' }),
}).superRefine(({ per, startsOn }, context) => {
  if (startsOn !== undefined && per !== 'month') issue(context, 'contradiction', 'only a month begins on a day of the month', undefined, ['startsOn']);
});

/** Names of the IANA database, as this build knows them. */
function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** What consumers bought: each of them has these limits for itself, wherever `rateLimit` is in effect. */
export const planSchema = z.strictObject({
  kind: z.literal('Plan'),
  name: documentName(),
  labels: labels().optional(),
  limits: boundedRecord(entryName(), limitSchema, { max: documentLimits.planLimits, what: 'limits' }).optional(),
  quotas: boundedRecord(entryName(), quotaSchema, { max: documentLimits.planQuotas, what: 'quotas' }).optional(),
});

export type PlanDocument = z.infer<typeof planSchema>;

/** A limit with its defaults and its period in milliseconds. */
export interface PlanLimit {
  readonly name: string;
  readonly algorithm: string;
  readonly requests: number;
  readonly perMs: number;
  /** 0 where the algorithm has none. */
  readonly burst: number;
  /** instance | service | fleet */
  readonly sharedBy: string;
}

/** A quota with its defaults; without throttle both of its numbers are 0. */
export interface PlanQuota {
  readonly name: string;
  readonly requests: number;
  readonly per: string;
  readonly timeZone: string;
  readonly startsOn: number;
  readonly throttleRequests: number;
  readonly throttlePerMs: number;
}

/** The quotas of a plan, by name. */
export function planQuotas({ quotas = {} }: PlanDocument): PlanQuota[] {
  return Object.entries(quotas).map(([name, { requests, per, timeZone = 'UTC', startsOn = 1, throttle }]) => ({
    name, requests, per, timeZone, startsOn, throttleRequests: throttle?.requests ?? 0, throttlePerMs: parseDurationMs(throttle?.per ?? '') ?? 0,
  })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The limits of a plan, by name. */
export function planLimits({ limits = {} }: PlanDocument): PlanLimit[] {
  return Object.entries(limits).map(([name, { requests, per, algorithm = 'tokenBucket', burst, sharedBy = 'instance' }]) => ({
    name, sharedBy, algorithm, requests, perMs: parseDurationMs(per) ?? 0, burst: algorithm === 'tokenBucket' ? (burst ?? requests) : 0,
  })).sort((a, b) => (a.name < b.name ? -1 : 1));
}
