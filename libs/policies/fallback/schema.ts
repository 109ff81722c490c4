import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import { parseDurationMs, parseSizeBytes } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { reasons } from '@remora/errors/reason';
import { duration, headerName, headerValue, size, type IssueParams } from '@remora/policy-kit/scalars';
import { templateViolation } from '@remora/policy-kit/template';
import { z } from 'zod';

/** gRPC's numbers for the codes that can stand for a failure of the destination. */
export const grpcFailures: ReadonlyMap<string, number> = new Map([
  ['unknown', 2], ['deadline-exceeded', 4], ['resource-exhausted', 8], ['aborted', 10], ['internal', 13], ['unavailable', 14],
]);

/** Reasons with which a call can end without an answer, beside those of other kinds (`failure` is for all of them). */
export const failureReasons: readonly string[] = Object.values(reasons)
  .filter(({ status, origin }) => status >= 500 && (origin === 'upstream' || origin === 'internal')).map(({ code }) => code).concat('circuit-open').sort();

const words = ['failure', 'gateway-error', '5xx', ...grpcFailures.keys(), ...failureReasons];
const day = 86_400_000;

/** `fallback` as authored. */
export const fallbackSchema = z.strictObject({
  when: z.array(condition()).min(1).max(64).optional(),
  to: z.strictObject({
    service: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, { error: () => 'must be the name of a service' }).optional(),
    port: z.string().max(63).optional(),
    labels: z.record(z.string().min(1).max(63), z.string().max(253)).optional(),
    replayBuffer: size({ max: 1024 * 1024 }).optional(),
  }).optional(),
  stale: z.strictObject({
    maxAge: duration({ min: 1000, max: 30 * day }).optional(),
    entries: z.int().min(1).max(100_000).optional(),
    bytes: size({ min: 64 * 1024, max: 1024 ** 3 }).optional(),
    bodyMax: size({ min: 1, max: 8 * 1024 * 1024 }).optional(),
    keyHeaders: z.array(headerName()).max(16).optional(),
    authorized: z.boolean().optional(),
  }).optional(),
  answer: z.strictObject({
    status: z.int().min(200).max(599).optional(),
    headers: z.record(headerName(), headerValue()).optional(),
    body: z.string().max(16_384).optional(),
    grpcStatus: z.int().min(1).max(16).optional(),
  }).optional(),
});

/** A word, a reason code, or a status from 400 to 599. */
function condition() {
  const expected = `one of ${words.join(', ')}, or a status from 400 to 599`;
  const word = z.string().superRefine((text, context) => {
    if (words.includes(text)) return;
    const message = `${JSON.stringify(text.slice(0, 40))} is nothing that a fallback can answer`;
    context.addIssue({ code: 'custom', message, params: { code: 'invalid-value', expected } satisfies IssueParams });
  });
  return z.union([word, z.int().min(400).max(599)], { error: () => `must be ${expected}` }).meta({ description: expected });
}

export const fallbackDefaults: JsonObject = { when: ['failure', 'gateway-error'] };

/** Of the parts, where they are there. */
export const partDefaults = {
  to: { port: '', labels: {}, replayBuffer: '64KiB' },
  stale: { maxAge: '5m', entries: 1000, bytes: '16MiB', bodyMax: '256KiB', keyHeaders: [], authorized: false },
  answer: { status: 200, headers: {}, body: '', grpcStatus: 0 },
} as const;

export interface EffectiveFallback {
  readonly when: readonly (string | number)[];
  readonly to?: { readonly service?: string; readonly port?: string; readonly labels?: Readonly<Record<string, string>>; readonly replayBuffer?: string };
  readonly stale?: {
    readonly maxAge?: string; readonly entries?: number; readonly bytes?: string; readonly bodyMax?: string; readonly keyHeaders?: readonly string[]; readonly authorized?: boolean;
  };
  readonly answer?: { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string; readonly grpcStatus?: number };
}

export function checkFallback(effective: JsonObject): Violation[] {
  const { to, stale, answer } = effective as unknown as EffectiveFallback;
  const violations: Violation[] = [];
  if (to === undefined && stale === undefined && answer === undefined) {
    violations.push({ pointer: '', code: 'missing-field', message: 'a fallback needs something that answers', expected: 'to, stale or answer' });
  }
  if (to !== undefined && to.service === undefined) violations.push({ pointer: '/to/service', code: 'missing-field', message: 'another destination needs its service', expected: 'the name of a service' });
  if (stale !== undefined) violations.push(...checkStale(stale));
  if (answer !== undefined) violations.push(...checkAnswer(answer));
  return violations;
}

function checkStale({ bytes = partDefaults.stale.bytes, bodyMax = partDefaults.stale.bodyMax, maxAge = partDefaults.stale.maxAge }: NonNullable<EffectiveFallback['stale']>): Violation[] {
  const violations: Violation[] = [];
  if ((parseSizeBytes(bodyMax) ?? 0) > (parseSizeBytes(bytes) ?? 0)) {
    violations.push({ pointer: '/stale/bodyMax', code: 'contradiction', message: `bodyMax (${bodyMax}) is more than all answers together may have (${bytes})`, expected: `at most ${bytes}` });
  }
  if ((parseDurationMs(maxAge) ?? 0) === 0) violations.push({ pointer: '/stale/maxAge', code: 'contradiction', message: 'answers of no age are never kept', expected: 'a duration of at least 1s' });
  return violations;
}

function checkAnswer({ headers = {}, body = '', status = partDefaults.answer.status }: NonNullable<EffectiveFallback['answer']>): Violation[] {
  const found = Object.entries(headers).flatMap(([name, value]): Violation[] => {
    const pointer = joinPointer('/answer/headers', name);
    if (ownHeaders.has(name.toLowerCase())) return [{ pointer, code: 'invalid-value', message: `${name} is written by Remora`, expected: 'another header' }];
    const violation = templateViolation(pointer, value, 'answer');
    return violation === null ? [] : [violation];
  });
  const bodyViolation = templateViolation('/answer/body', body, 'answer');
  if (bodyViolation !== null) found.push(bodyViolation);
  if (body !== '' && (status === 204 || status === 304)) found.push({ pointer: '/answer/body', code: 'contradiction', message: `a response with status ${status} has no body`, expected: 'no body, or another status' });
  return found;
}

/** Framing, and what marks the answer. */
const ownHeaders: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'trailer', 'te', 'date', 'age', 'x-remora-fallback', 'x-remora-origin', 'grpc-status', 'grpc-message']);
