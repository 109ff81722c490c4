import { WireError } from '@remora/policy-kit/runtime-kind';
import { decodeMessage, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { OutlierDetection } from './gen/outlier-detection.ts';

/** Milliseconds. A detector of 0 is off. */
export interface OutlierDetectionSettings {
  /** How often hosts are compared, and ejections are forgotten again. */
  readonly intervalMs: number;
  /** Times the number of ejections is how long one lasts. */
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly jitterMs: number;
  /** Share of the hosts that may be out at once; one always may. */
  readonly maxEjected: number;
  /** Of fewer hosts nobody is ejected. */
  readonly minHosts: number;
  readonly consecutive5xx: number;
  readonly consecutiveGatewayErrors: number;
  readonly consecutiveLocalFailures: number;
  readonly successRate: Comparison & { readonly deviations: number };
  readonly failurePercentage: Comparison & { readonly threshold: number };
}

/** How much must be known before hosts are compared. */
export interface Comparison {
  readonly minHosts: number;
  readonly minRequests: number;
}

export const outlierDetectionWire = { name: 'outlierDetection', format: 1, decode: decodeOutlierDetection } as const;

const dayMs = 86_400_000;

function decodeOutlierDetection(bytes: Uint8Array): OutlierDetectionSettings {
  const message = decodeMessage(OutlierDetection, bytes);
  const { successRate, failurePercentage } = message;
  if (successRate === undefined || failurePercentage === undefined) throw new WireError('', 'missing-field', 'a detector is missing');
  return Object.freeze({
    intervalMs: wholeNumber(message.intervalMs, '/interval', 1000, dayMs),
    baseEjectionMs: wholeNumber(message.baseEjectionMs, '/baseEjection', 100, dayMs),
    maxEjectionMs: wholeNumber(message.maxEjectionMs, '/maxEjection', 100, dayMs),
    jitterMs: wholeNumber(message.jitterMs, '/jitter', 0, dayMs),
    maxEjected: realNumber(message.maxEjected, '/maxEjected', 0, 1),
    minHosts: wholeNumber(message.minHosts, '/minHosts', 1, 1000),
    consecutive5xx: wholeNumber(message.consecutive5xx, '/consecutive5xx', 0, 1000),
    consecutiveGatewayErrors: wholeNumber(message.consecutiveGatewayErrors, '/consecutiveGatewayErrors', 0, 1000),
    consecutiveLocalFailures: wholeNumber(message.consecutiveLocalFailures, '/consecutiveLocalFailures', 0, 1000),
    successRate: Object.freeze({ ...comparison(successRate, '/successRate'), deviations: realNumber(successRate.deviations, '/successRate/deviations', 0, 10) }),
    failurePercentage: Object.freeze({
      ...comparison(failurePercentage, '/failurePercentage'), threshold: realNumber(failurePercentage.threshold, '/failurePercentage/threshold', 0, 1),
    }),
  });
}

function comparison({ minHosts, minRequests }: { readonly minHosts: number; readonly minRequests: number }, pointer: string): Comparison {
  return { minHosts: wholeNumber(minHosts, `${pointer}/minHosts`, 2, 1000), minRequests: wholeNumber(minRequests, `${pointer}/minRequests`, 1, 1_000_000) };
}
