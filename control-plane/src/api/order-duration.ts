import { formatDuration, parseDurationMs } from '@remora/core/units';
import { ApiError } from './problem.ts';

const forMinMs = 1_000;
const forMaxMs = 86_400_000;

/** Milliseconds that an order of a person holds for, from 1s to 24h: longer ones are for documents. Throws `bad-parameter`. */
export function orderDuration(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= forMinMs && ms <= forMaxMs) return ms;
  const expected = `a duration from ${formatDuration(forMinMs)} to ${formatDuration(forMaxMs)}, such as 10m`;
  const violation = { document: 'body', pointer: '/for', code: 'bad-parameter', message: 'is no such duration', expected };
  throw new ApiError('bad-parameter', `for: expected ${expected}`, { violations: [violation] });
}
