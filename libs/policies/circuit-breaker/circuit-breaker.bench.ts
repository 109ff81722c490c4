import { measureLayer, type KindCost } from '@remora/testing/kind-bench';
import { circuitBreakerAuthoring } from './compile.ts';
import { circuitBreakerRuntime } from './filter.ts';

/** Thresholds, and a machine that judges by all three detectors, on a call that succeeds at once. */
export function bench(): KindCost {
  return measureLayer(circuitBreakerAuthoring, circuitBreakerRuntime, { consecutiveFailures: 5, failureRate: '50%', slowCallRate: '80%' });
}
