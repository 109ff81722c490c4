import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { RolloutPlan, RolloutStep } from './gate-engine.ts';

/**
 * What the gate engine decides by, of a canary that is right by itself. A pause belongs to the step before it, so that what was measured
 * there goes on counting; the last weight is no step: with it the canary is done.
 */
export function canaryPlan({ steps, gates }: CanaryDocument): CanaryPlan {
  const weights: number[] = [];
  const rollout: RolloutStep[] = [];
  for (const [i, step] of steps.entries()) {
    if (step.weight === undefined || step.weight === 100) continue;
    weights.push(step.weight);
    rollout.push({ forMs: parseDurationMs(step.for ?? '') ?? 0, approval: steps[i + 1]?.pause !== undefined });
  }
  const increase = gates.errorRate === undefined ? null : parseRatio(gates.errorRate.maxIncrease);
  return {
    weights,
    plan: {
      steps: rollout,
      gates: {
        ...(increase !== null && { errorRateIncreaseMax: increase }), ...(gates.p99 !== undefined && { p99RatioMax: gates.p99.maxRatio }),
        minRequests: gates.minRequests ?? 500, onTooFew: gates.onTooFew === 'abort' ? 'abort' : 'hold', staleMs,
      },
    },
  };
}

export interface CanaryPlan {
  /** Percent of the candidate in each step of the plan; after the last one it is 100. */
  readonly weights: readonly number[];
  readonly plan: RolloutPlan;
}

/** Sidecars report every 5 s: who missed so many reports is not there. */
const staleMs = 30_000;
