import { parseDurationMs } from '@remora/core/units';
import { duration, entryName, notAvailable, oneOf } from '@remora/policy-kit/scalars';
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
  sharedBy: oneOf(['instance'], ['service', 'fleet']).optional(),
}).superRefine(({ algorithm, burst }, context) => {
  if (burst !== undefined && algorithm !== undefined && algorithm !== 'tokenBucket') issue(context, 'contradiction', `${algorithm} has no burst: requests is what a window takes`, undefined, ['burst']);
});

/** What consumers bought: each of them has these limits for itself, wherever `rateLimit` is in effect. */
export const planSchema = z.strictObject({
  kind: z.literal('Plan'),
  name: documentName(),
  labels: labels().optional(),
  limits: boundedRecord(entryName(), limitSchema, { max: documentLimits.planLimits, what: 'limits' }).optional(),
  quotas: notAvailable('the quota of a Plan').optional(),
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
}

/** The limits of a plan, by name. */
export function planLimits({ limits = {} }: PlanDocument): PlanLimit[] {
  return Object.entries(limits).map(([name, { requests, per, algorithm = 'tokenBucket', burst }]) => ({
    name, algorithm, requests, perMs: parseDurationMs(per) ?? 0, burst: algorithm === 'tokenBucket' ? (burst ?? requests) : 0,
  })).sort((a, b) => (a.name < b.name ? -1 : 1));
}
