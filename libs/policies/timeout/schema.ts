import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration } from '@remora/policy-kit/scalars';
import { z } from 'zod';

const hour = 3_600_000;

/** `timeout` as authored. `0s` means no limit, except for `connect`. */
export const timeoutSchema = z.strictObject({
  connect: duration({ min: 1, max: hour }).optional(),
  request: duration({ max: 24 * hour, zeroMeans: 'unlimited' }).optional(),
  idle: duration({ max: 24 * hour, zeroMeans: 'unlimited' }).optional(),
  perTry: duration({ max: 24 * hour, zeroMeans: 'unlimited' }).optional(),
  tunnelIdle: duration({ max: 7 * 24 * hour, zeroMeans: 'unlimited' }).optional(),
  maxStream: duration({ max: 30 * 24 * hour, zeroMeans: 'unlimited' }).optional(),
});

/** The section with its defaults. */
export type EffectiveTimeout = Readonly<Record<keyof z.output<typeof timeoutSchema>, string>>;

/** A stream is never cut by default; what does not answer, or goes silent, is. */
export const timeoutDefaults: JsonObject = { connect: '1s', request: '15s', idle: '60s', perTry: '0s', tunnelIdle: '1h', maxStream: '0s' };

/** One attempt cannot have more time than the whole request. */
export function checkTimeout(effective: JsonObject): Violation[] {
  const { request, perTry } = effective as EffectiveTimeout;
  const requestMs = parseDurationMs(request) ?? 0;
  if (requestMs === 0 || (parseDurationMs(perTry) ?? 0) <= requestMs) return [];
  return [{ pointer: '/perTry', code: 'contradiction', message: `perTry (${perTry}) is longer than request (${request}), so it would never end an attempt`, expected: `at most ${request}` }];
}
