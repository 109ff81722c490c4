import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, headerName, ratio, size, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';

/** gRPC's numbers for the codes that can be tried again. */
export const retriableGrpcCodes: ReadonlyMap<string, number> = new Map([
  ['cancelled', 1], ['deadline-exceeded', 4], ['resource-exhausted', 8], ['internal', 13], ['unavailable', 14],
]);

const words = ['connect-failure', 'reset', 'refused-stream', 'retriable-headers', 'gateway-error', '5xx', ...retriableGrpcCodes.keys()];

/** `retry` as authored. Connect failures are always retried while `retries` is above 0. */
export const retrySchema = z.strictObject({
  retries: z.int().min(0).max(10).optional(),
  retryOn: z.array(condition()).max(32).optional(),
  retriableHeaders: z.array(headerName()).max(16).optional(),
  backoff: z.strictObject({ base: duration({ min: 1, max: 60_000 }).optional(), max: duration({ min: 1, max: 60_000 }).optional() }).optional(),
  retryAfterMax: duration({ max: 60_000 }).optional(),
  budget: z.strictObject({ ratio: ratio({ max: 1 }).optional(), minPerSecond: z.int().min(0).max(1000).optional() }).optional(),
  replayBuffer: size({ max: 1024 * 1024 }).optional(),
  guard: z.boolean().optional(),
});

/** A word, or a status from 400 to 599. */
function condition() {
  const expected = `one of ${words.join(', ')}, or a status from 400 to 599`;
  const word = z.string().superRefine((text, context) => {
    if (words.includes(text)) return;
    const message = `${JSON.stringify(text.slice(0, 40))} is nothing to retry on`;
    context.addIssue({ code: 'custom', message, params: { code: 'invalid-value', expected } satisfies IssueParams });
  });
  return z.union([word, z.int().min(400).max(599)], { error: () => `must be ${expected}` }).meta({ description: expected });
}

/** Envoy's backoff, Linkerd's budget. */
export const retryDefaults: JsonObject = {
  retries: 2,
  retryOn: ['connect-failure'],
  retriableHeaders: [],
  backoff: { base: '25ms', max: '250ms' },
  retryAfterMax: '1s',
  budget: { ratio: '20%', minPerSecond: 3 },
  replayBuffer: '64KiB',
  guard: true,
};

export interface EffectiveRetry {
  readonly retries: number;
  readonly retryOn: readonly (string | number)[];
  readonly retriableHeaders: readonly string[];
  readonly backoff: { readonly base: string; readonly max: string };
  readonly retryAfterMax: string;
  readonly budget: { readonly ratio: string | number; readonly minPerSecond: number };
  readonly replayBuffer: string;
  readonly guard: boolean;
}

export function checkRetry(effective: JsonObject): Violation[] {
  const { retries, retryOn, retriableHeaders, backoff, budget } = effective as unknown as EffectiveRetry;
  const violations: Violation[] = [];
  if ((parseDurationMs(backoff.max) ?? 0) < (parseDurationMs(backoff.base) ?? 0)) {
    violations.push({ pointer: '/backoff/max', code: 'contradiction', message: `max (${backoff.max}) is shorter than base (${backoff.base})`, expected: `at least ${backoff.base}` });
  }
  if (retries > 0 && parseRatio(budget.ratio) === 0 && budget.minPerSecond === 0) {
    violations.push({ pointer: '/budget', code: 'contradiction', message: `retries is ${retries}, but the budget (ratio 0, minPerSecond 0) never allows one`, expected: 'a ratio or minPerSecond above 0, or retries 0' });
  }
  if (retryOn.includes('retriable-headers') && retriableHeaders.length === 0) {
    violations.push({ pointer: '/retriableHeaders', code: 'missing-field', message: 'retryOn names retriable-headers, but there are none', expected: 'a list of header names' });
  }
  if (!retryOn.includes('retriable-headers') && retriableHeaders.length > 0) {
    violations.push({ pointer: '/retryOn', code: 'contradiction', message: 'retriableHeaders are given, but retryOn does not name retriable-headers, so they would do nothing', expected: 'retriable-headers among retryOn' });
  }
  return violations;
}

/** A level that switches retries off wins over inherited conditions; a policy that names conditions and switches them off did not mean one of the two. */
export function checkWrittenRetry({ retries, retryOn, retriableHeaders }: JsonObject): Violation[] {
  if (retries !== 0) return [];
  const named = retryOn === undefined ? (retriableHeaders === undefined ? '' : 'retriableHeaders') : 'retryOn';
  if (named === '') return [];
  return [{ pointer: `/${named}`, code: 'contradiction', message: `${named} is set, but retries is 0, so nothing is tried again`, expected: `retries above 0, or no ${named}` }];
}
