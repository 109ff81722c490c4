import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { CircuitBreaker, type FailOn, type Machine } from './gen/circuit-breaker.ts';
import { checkCircuitBreaker, checkCircuitBreakerBeside, circuitBreakerDefaults, circuitBreakerSchema, failingGrpcCodes, isOn, type EffectiveCircuitBreaker } from './schema.ts';

/** Bounds of what a caller sends to a destination, and a breaker that stops it for a while: caller side, always on with wide bounds. */
export const circuitBreakerAuthoring: AuthoringKind = {
  name: 'circuitBreaker',
  side: 'caller',
  tcp: true,
  always: true,
  perDestination: ['thresholds'],
  shadow: true,
  format: 1,
  schema: circuitBreakerSchema,
  defaults: circuitBreakerDefaults,
  check: checkCircuitBreaker,
  checkBeside: checkCircuitBreakerBeside,
  compile: (effective) => ({ minFormat: 1, body: CircuitBreaker.encode(toMessage(effective as unknown as EffectiveCircuitBreaker)).finish() }),
};

function toMessage(effective: EffectiveCircuitBreaker): CircuitBreaker {
  const { thresholds, consecutiveFailures, failureRate, slowCallRate } = effective;
  const opens = consecutiveFailures > 0 || isOn(failureRate) || isOn(slowCallRate);
  return { thresholds: { ...thresholds }, machine: opens ? machineOf(effective) : undefined };
}

function machineOf(effective: EffectiveCircuitBreaker): Machine {
  const { window: judged, open, halfOpen } = effective;
  return {
    consecutiveFailures: effective.consecutiveFailures,
    failureRate: parseRatio(effective.failureRate) ?? 0,
    slowCallRate: parseRatio(effective.slowCallRate) ?? 0,
    slowCallMs: parseDurationMs(effective.slowCall) ?? 0,
    windowCalls: typeof judged === 'number' ? judged : 0,
    windowMs: typeof judged === 'number' ? 0 : parseDurationMs(judged) ?? 0,
    minimumCalls: effective.minimumCalls,
    failOn: failOnOf(effective.failOn),
    openBaseMs: parseDurationMs(open.base) ?? 0,
    openMaxMs: parseDurationMs(open.max) ?? 0,
    openJitter: parseRatio(open.jitter) ?? 0,
    probes: halfOpen.probes,
    successes: halfOpen.successes,
    probePatienceMs: parseDurationMs(halfOpen.patience) ?? 0,
  };
}

function failOnOf(failOn: readonly (string | number)[]): FailOn {
  const statuses = new Set(failOn.filter((condition) => typeof condition === 'number'));
  if (failOn.includes('gateway-error')) for (const status of [502, 503, 504]) statuses.add(status);
  const codes = new Set(failOn.map((condition) => (typeof condition === 'string' ? failingGrpcCodes.get(condition) : undefined)).filter((code) => code !== undefined));
  return {
    connectFailure: failOn.includes('connect-failure'),
    reset: failOn.includes('reset'),
    refusedStream: failOn.includes('refused-stream'),
    timeout: failOn.includes('timeout'),
    serverErrors: failOn.includes('5xx'),
    statuses: [...statuses].sort((a, b) => a - b),
    grpcStatuses: [...codes].sort((a, b) => a - b),
  };
}
