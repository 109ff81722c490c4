import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, ratio } from '@remora/policy-kit/scalars';
import { z } from 'zod';

const hourMs = 3_600_000;
const consecutive = z.int().min(0).max(1000).optional().meta({ description: 'failures in a row; 0: off' });
const volume = { minHosts: z.int().min(2).max(1000).optional(), minRequests: z.int().min(1).max(1_000_000).optional() };

/** `outlierDetection` as authored. */
export const outlierDetectionSchema = z.strictObject({
  interval: duration({ min: 1000, max: hourMs }).optional(),
  baseEjection: duration({ min: 100, max: 24 * hourMs }).optional(),
  maxEjection: duration({ min: 100, max: 24 * hourMs }).optional(),
  jitter: duration({ max: hourMs }).optional(),
  maxEjected: ratio().optional(),
  minHosts: z.int().min(1).max(1000).optional(),
  consecutive5xx: consecutive,
  consecutiveGatewayErrors: consecutive,
  consecutiveLocalFailures: consecutive,
  successRate: z.strictObject({ deviations: z.number().min(0).max(10).optional(), ...volume }).optional(),
  failurePercentage: z.strictObject({ threshold: ratio().optional(), ...volume }).optional(),
});

type Authored = z.output<typeof outlierDetectionSchema>;
type Compared = 'successRate' | 'failurePercentage';
type Filled<T> = { readonly [F in keyof T]-?: NonNullable<T[F]> };

/** The section with its defaults. */
export type EffectiveOutlierDetection = Filled<Omit<Authored, Compared>> & { readonly [D in Compared]: Filled<NonNullable<Authored[D]>> };

/** As Envoy's, but for what compares hosts with each other: that is off until somebody asks for it. */
export const outlierDetectionDefaults: JsonObject = {
  interval: '10s', baseEjection: '30s', maxEjection: '5m', jitter: '0s', maxEjected: '10%', minHosts: 2,
  consecutive5xx: 5, consecutiveGatewayErrors: 0, consecutiveLocalFailures: 5,
  successRate: { deviations: 0, minHosts: 5, minRequests: 100 },
  failurePercentage: { threshold: 0, minHosts: 5, minRequests: 50 },
};

/** What can never eject, or says two things. */
export function checkOutlierDetection(effective: JsonObject): Violation[] {
  const { baseEjection, maxEjection, consecutive5xx, consecutiveGatewayErrors, maxEjected } = effective as unknown as EffectiveOutlierDetection;
  const violations: Violation[] = [];
  if ((parseDurationMs(maxEjection) ?? 0) < (parseDurationMs(baseEjection) ?? 0)) {
    violations.push({ pointer: '/maxEjection', code: 'contradiction', message: `maxEjection (${maxEjection}) is shorter than baseEjection (${baseEjection})`, expected: `at least ${baseEjection}` });
  }
  if (consecutive5xx > 0 && consecutiveGatewayErrors >= consecutive5xx) {
    violations.push({
      pointer: '/consecutiveGatewayErrors', code: 'contradiction', message: `every gateway error is a 5xx: consecutive5xx (${consecutive5xx}) always ejects first`, expected: `less than ${consecutive5xx}, or consecutive5xx: 0`,
    });
  }
  if (parseRatio(maxEjected) === 0) {
    violations.push({ pointer: '/maxEjected', code: 'contradiction', message: 'nobody may be ejected', expected: 'a ratio above 0, or enabled: false' });
  }
  return violations;
}
