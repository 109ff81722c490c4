import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, ratio, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';

/** gRPC's numbers for the codes that can say that a call failed (grpc/grpc doc/statuscodes.md); OK is none of them. */
export const failingGrpcCodes: ReadonlyMap<string, number> = new Map([
  ['cancelled', 1], ['unknown', 2], ['invalid-argument', 3], ['deadline-exceeded', 4], ['not-found', 5], ['already-exists', 6], ['permission-denied', 7], ['resource-exhausted', 8],
  ['failed-precondition', 9], ['aborted', 10], ['out-of-range', 11], ['unimplemented', 12], ['internal', 13], ['unavailable', 14], ['data-loss', 15], ['unauthenticated', 16],
]);

const words = ['connect-failure', 'reset', 'refused-stream', 'timeout', '5xx', 'gateway-error', ...failingGrpcCodes.keys()];
const countMax = 1_000_000;
const hourMs = 3_600_000;
const windowCallsMax = 10_000;

/** `circuitBreaker` as authored. */
export const circuitBreakerSchema = z.strictObject({
  thresholds: z.strictObject({
    connections: z.int().min(1).max(countMax).optional(),
    pending: z.int().min(0).max(countMax).optional(),
    requests: z.int().min(1).max(countMax).optional(),
    retries: z.int().min(0).max(countMax).optional(),
  }).optional(),
  consecutiveFailures: z.int().min(0).max(1000).optional().meta({ description: 'failures in a row; 0: off' }),
  failureRate: ratio().optional(),
  slowCallRate: ratio().optional(),
  slowCall: duration({ min: 1, max: hourMs }).optional(),
  window: window().optional(),
  minimumCalls: z.int().min(1).max(countMax).optional(),
  failOn: z.array(condition()).max(64).optional(),
  open: z.strictObject({
    base: duration({ min: 100, max: hourMs }).optional(), max: duration({ min: 100, max: 24 * hourMs }).optional(), jitter: ratio().optional(),
  }).optional(),
  halfOpen: z.strictObject({
    probes: z.int().min(1).max(100).optional(), successes: z.int().min(1).max(1000).optional(), patience: duration({ min: 100, max: hourMs }).optional(),
  }).optional(),
});

/** The last so many calls, or those of the last so much time. */
function window() {
  const expected = `a number of calls from 1 to ${windowCallsMax}, or a duration from 1s to 1h`;
  return z.union([z.int().min(1).max(windowCallsMax), duration({ min: 1000, max: hourMs })], { error: () => `must be ${expected}` }).meta({ description: expected });
}

/** A word, or a status from 400 to 599. */
function condition() {
  const expected = `one of ${words.join(', ')}, or a status from 400 to 599`;
  const word = z.string().superRefine((text, context) => {
    if (words.includes(text)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 40))} is no way for a call to fail`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  });
  return z.union([word, z.int().min(400).max(599)], { error: () => `must be ${expected}` }).meta({ description: expected });
}

type Authored = z.output<typeof circuitBreakerSchema>;
type Nested = 'thresholds' | 'open' | 'halfOpen';
type Filled<T> = { readonly [F in keyof T]-?: NonNullable<T[F]> };

/** The section with its defaults. */
export type EffectiveCircuitBreaker = Filled<Omit<Authored, Nested>> & { readonly [N in Nested]: Filled<NonNullable<Authored[N]>> };

const retriesDefault = 1024;

/**
 * Thresholds hold back what would exhaust the caller itself: they are wider than Envoy's 1,024, which are for one of its clusters too, because they are met by
 * destinations with many hosts and long streams long before anything is in danger; `retries` is wide because a budget bounds retries already. Nothing opens
 * until somebody says what counts as too much.
 */
export const circuitBreakerDefaults: JsonObject = {
  thresholds: { connections: 8192, pending: 8192, requests: 16_384, retries: retriesDefault },
  consecutiveFailures: 0, failureRate: 0, slowCallRate: 0, slowCall: '2s', window: '30s', minimumCalls: 20,
  failOn: ['connect-failure', 'reset', 'timeout', '5xx', 'unknown', 'deadline-exceeded', 'internal', 'unavailable', 'data-loss'],
  open: { base: '5s', max: '1m', jitter: '20%' },
  halfOpen: { probes: 1, successes: 3, patience: '30s' },
};

/** What can never open, never be reached, or says two things. */
export function checkCircuitBreaker(effective: JsonObject): Violation[] {
  const settings = effective as unknown as EffectiveCircuitBreaker;
  return [...checkThresholds(settings), ...checkDetectors(settings), ...checkOpen(settings)];
}

/** The default of `retries` is nobody's word: who sets `requests` alone, and lower, has said nothing twice. */
function checkThresholds({ thresholds: { requests, retries } }: EffectiveCircuitBreaker): Violation[] {
  if (retries <= requests || retries === retriesDefault) return [];
  return [{ pointer: '/thresholds/retries', code: 'contradiction', message: `retries are requests: there are never more than requests (${requests}) of them`, expected: `at most ${requests}` }];
}

function checkDetectors({ consecutiveFailures, failureRate, slowCallRate, window: judged, minimumCalls, failOn }: EffectiveCircuitBreaker): Violation[] {
  const violations: Violation[] = [];
  const byRate = isOn(failureRate) || isOn(slowCallRate);
  if (byRate && typeof judged === 'number' && minimumCalls > judged) {
    violations.push({ pointer: '/minimumCalls', code: 'contradiction', message: `a window of ${judged} calls never has ${minimumCalls}: nothing would ever be judged`, expected: `at most ${judged}` });
  }
  if (failOn.length === 0 && (consecutiveFailures > 0 || isOn(failureRate))) {
    violations.push({ pointer: '/failOn', code: 'contradiction', message: 'nothing counts as a failure, so failures could never open it', expected: 'at least one way to fail' });
  }
  return violations;
}

function checkOpen({ open: { base, max } }: EffectiveCircuitBreaker): Violation[] {
  if ((parseDurationMs(max) ?? 0) >= (parseDurationMs(base) ?? 0)) return [];
  return [{ pointer: '/open/max', code: 'contradiction', message: `max (${max}) is shorter than base (${base})`, expected: `at least ${base}` }];
}

/** What limits and retries beside it make impossible. */
export function checkCircuitBreakerBeside(effective: JsonObject, others: ReadonlyMap<string, JsonObject>): Violation[] {
  const { slowCallRate, slowCall, thresholds } = effective as unknown as EffectiveCircuitBreaker;
  const violations: Violation[] = [];
  const { request = '0s' } = (others.get('timeout') ?? {}) as { readonly request?: string };
  const requestMs = parseDurationMs(request) ?? 0;
  if (isOn(slowCallRate) && requestMs > 0 && (parseDurationMs(slowCall) ?? 0) > requestMs) {
    violations.push({
      pointer: '/slowCall', code: 'contradiction', message: `slowCall (${slowCall}) is longer than timeout.request (${request}): calls have ended before they are slow`, expected: `at most ${request}`,
    });
  }
  const retries = others.get('retry')?.['retries'];
  if (thresholds.retries === 0 && typeof retries === 'number' && retries > 0) {
    violations.push({ pointer: '/thresholds/retries', code: 'contradiction', message: `retry.retries is ${retries}, but no retry would ever be let through`, expected: 'at least 1, or retry: {retries: 0}' });
  }
  return violations;
}

/** Whether a rate is looked at. */
export function isOn(rate: string | number): boolean {
  return (parseRatio(rate) ?? 0) > 0;
}
