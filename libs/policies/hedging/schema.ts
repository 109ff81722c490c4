import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, ratio, size } from '@remora/policy-kit/scalars';
import { z } from 'zod';

/** `hedging` as authored: by a quantile or after a fixed delay. */
export const hedgingSchema = z.strictObject({
  delay: duration({ min: 1, max: 60_000 }).optional(),
  quantile: ratio({ min: 0.5, max: 0.999 }).optional(),
  minDelay: duration({ min: 1, max: 60_000 }).optional(),
  samples: z.int().min(10).max(100_000).optional(),
  replayBuffer: size({ max: 1024 * 1024 }).optional(),
});

export const hedgingDefaults: JsonObject = { minDelay: '4ms', samples: 100, replayBuffer: '64KiB' };

export interface EffectiveHedging {
  readonly delay?: string;
  readonly quantile?: string | number;
  readonly minDelay: string;
  readonly samples: number;
  readonly replayBuffer: string;
}

export function checkHedging(effective: JsonObject): Violation[] {
  const { delay, quantile } = effective as unknown as EffectiveHedging;
  if (delay === undefined && quantile === undefined) return [{ pointer: '', code: 'missing-field', message: 'hedging needs to know when: after a quantile of the latency, or a delay', expected: 'quantile or delay' }];
  if (delay === undefined || quantile === undefined) return [];
  return [{ pointer: '/delay', code: 'contradiction', message: `delay (${delay}) and quantile (${quantile}) are both set: a hedge is made after the one or the other`, expected: 'quantile or delay; null takes an inherited one away' }];
}

/** What of limits and retries beside it makes a hedge impossible. */
export function checkHedgingBeside(effective: JsonObject, others: ReadonlyMap<string, JsonObject>): Violation[] {
  return [...checkDelay(effective as unknown as EffectiveHedging, others.get('timeout')), ...checkBudget(others.get('retry'))];
}

/** A hedge that would be made after the request has ended is none. */
function checkDelay({ delay, minDelay }: EffectiveHedging, timeout: JsonObject | undefined): Violation[] {
  const { request = '0s' } = (timeout ?? {}) as { readonly request?: string };
  const requestMs = parseDurationMs(request) ?? 0;
  const [field, wait] = delay === undefined ? ['minDelay', minDelay] : ['delay', delay];
  if (requestMs === 0 || (parseDurationMs(wait) ?? 0) < requestMs) return [];
  return [{ pointer: `/${field}`, code: 'contradiction', message: `${field} (${wait}) is not shorter than timeout.request (${request}): the request has ended before a hedge is made`, expected: `less than ${request}` }];
}

/** Second tries are paid from the budget of `retry`. */
function checkBudget(retry: JsonObject | undefined): Violation[] {
  const { ratio: share, minPerSecond } = (retry?.['budget'] ?? {}) as { readonly ratio?: string | number; readonly minPerSecond?: number };
  if (retry !== undefined && (minPerSecond !== 0 || (parseRatio(share ?? 1) ?? 1) > 0)) return [];
  const why = retry === undefined ? 'retry is switched off, and second tries are paid from its budget' : 'the budget of retry (ratio 0, minPerSecond 0) never allows a second try';
  return [{ pointer: '', code: 'contradiction', message: why, expected: 'retry with a budget (retries may be 0), or hedging: {enabled: false}' }];
}
