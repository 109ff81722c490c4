import type { JsonObject } from '@remora/core/canonical-json';
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
