import { parseDurationMs, parseRatio, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Retry } from './gen/retry.ts';
import { checkRetry, checkWrittenRetry, retriableGrpcCodes, retryDefaults, retrySchema, type EffectiveRetry } from './schema.ts';

/** Further attempts of calls that failed: caller side, always on for connect failures. */
export const retryAuthoring: AuthoringKind = {
  name: 'retry',
  side: 'caller',
  tcp: true,
  always: true,
  shadow: false,
  format: 3,
  schema: retrySchema,
  defaults: retryDefaults,
  check: checkRetry,
  checkWritten: checkWrittenRetry,
  compile(effective) {
    const message = toMessage(effective as unknown as EffectiveRetry);
    return { minFormat: message.unguarded ? 3 : message.onGrpcStatuses.length > 0 ? 2 : 1, body: Retry.encode(message).finish() };
  },
};

function toMessage(effective: EffectiveRetry): Retry {
  const { retryOn, backoff, budget } = effective;
  return {
    retries: effective.retries,
    onReset: retryOn.includes('reset'),
    onRefusedStream: retryOn.includes('refused-stream'),
    onStatuses: statusesOf(retryOn),
    retriableHeaders: [...new Set(effective.retriableHeaders.map((name) => name.toLowerCase()))].sort(),
    backoffBaseMs: parseDurationMs(backoff.base) ?? 0,
    backoffMaxMs: parseDurationMs(backoff.max) ?? 0,
    retryAfterMaxMs: parseDurationMs(effective.retryAfterMax) ?? 0,
    budgetRatio: parseRatio(budget.ratio) ?? 0,
    budgetMinPerSecond: budget.minPerSecond,
    replayBytes: parseSizeBytes(effective.replayBuffer) ?? 0,
    onGrpcStatuses: grpcStatusesOf(retryOn),
    unguarded: !effective.guard,
  };
}

function grpcStatusesOf(retryOn: readonly (string | number)[]): number[] {
  const codes = retryOn.map((condition) => (typeof condition === 'string' ? retriableGrpcCodes.get(condition) : undefined));
  return [...new Set(codes.filter((code) => code !== undefined))].sort((a, b) => a - b);
}

/** As in Envoy: `gateway-error` is 502, 503 and 504; `5xx` every status of that class. */
function statusesOf(retryOn: readonly (string | number)[]): number[] {
  const statuses = new Set(retryOn.filter((condition) => typeof condition === 'number'));
  if (retryOn.includes('gateway-error')) for (const status of [502, 503, 504]) statuses.add(status);
  if (retryOn.includes('5xx')) for (let status = 500; status < 600; status += 1) statuses.add(status);
  return [...statuses].sort((a, b) => a - b);
}
