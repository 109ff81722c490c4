import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { OutlierDetection } from './gen/outlier-detection.ts';
import { checkOutlierDetection, outlierDetectionDefaults, outlierDetectionSchema, type EffectiveOutlierDetection } from './schema.ts';

/** Hosts that fail are left out for a while: caller side, always on. */
export const outlierDetectionAuthoring: AuthoringKind = {
  name: 'outlierDetection',
  side: 'caller',
  tcp: true,
  perDestination: true,
  always: true,
  shadow: true,
  format: 1,
  schema: outlierDetectionSchema,
  defaults: outlierDetectionDefaults,
  check: checkOutlierDetection,
  compile: (effective) => ({ minFormat: 1, body: OutlierDetection.encode(toMessage(effective as unknown as EffectiveOutlierDetection)).finish() }),
};

function toMessage(effective: EffectiveOutlierDetection): OutlierDetection {
  const { successRate, failurePercentage } = effective;
  return {
    intervalMs: parseDurationMs(effective.interval) ?? 0,
    baseEjectionMs: parseDurationMs(effective.baseEjection) ?? 0,
    maxEjectionMs: parseDurationMs(effective.maxEjection) ?? 0,
    jitterMs: parseDurationMs(effective.jitter) ?? 0,
    maxEjected: parseRatio(effective.maxEjected) ?? 0,
    minHosts: effective.minHosts,
    consecutive5xx: effective.consecutive5xx,
    consecutiveGatewayErrors: effective.consecutiveGatewayErrors,
    consecutiveLocalFailures: effective.consecutiveLocalFailures,
    successRate: { ...successRate },
    failurePercentage: { ...failurePercentage, threshold: parseRatio(failurePercentage.threshold) ?? 0 },
  };
}
