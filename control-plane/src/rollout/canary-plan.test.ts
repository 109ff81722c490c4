import { expect, it } from 'vitest';
import { canaryPlan } from './canary-plan.ts';

const sides = { kind: 'Canary', name: 'orders-v2', service: 'orders', stable: { labels: { version: 'v1' } }, candidate: { labels: { version: 'v2' } } } as const;

it('is what the gate engine decides by', () => {
  expect(canaryPlan({
    ...sides, steps: [{ weight: 5, for: '5m' }, { weight: 25, for: '10m' }, { pause: 'approval' }, { weight: 100 }],
    gates: { errorRate: { maxIncrease: '1%' }, p99: { maxRatio: 1.3 }, minRequests: 200, onTooFew: 'abort' },
  })).toEqual({
    weights: [5, 25],
    plan: {
      steps: [{ forMs: 300_000, approval: false }, { forMs: 600_000, approval: true }],
      gates: { errorRateIncreaseMax: 0.01, p99RatioMax: 1.3, minRequests: 200, onTooFew: 'abort', staleMs: 30_000 },
    },
  });
});

it('has defaults, and leaves out gates that are not given', () => {
  expect(canaryPlan({ ...sides, steps: [{ weight: 50, for: '1s' }, { weight: 100 }], gates: { errorRate: { maxIncrease: 0 } } }).plan.gates)
    .toEqual({ errorRateIncreaseMax: 0, minRequests: 500, onTooFew: 'hold', staleMs: 30_000 });
});
