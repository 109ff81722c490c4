import type { Random } from '@remora/core/random';

/**
 * Exponential backoff with full jitter (Brooker, AWS 2015): uniform between 0 and the exponential step, so that callers
 * that failed together do not return together. `retry` is 1 for the first.
 */
export function backoffMs(retry: number, limits: { readonly backoffBaseMs: number; readonly backoffMaxMs: number }, random: Random): number {
  const step = Math.min(limits.backoffMaxMs, limits.backoffBaseMs * 2 ** (retry - 1));
  return random.next() * step;
}

/** `Retry-After` in milliseconds from now (RFC 9110 section 10.2.3): seconds, or a date. null where it is neither. */
export function parseRetryAfterMs(text: string, wallMs: number): number | null {
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  if (!/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(text)) return null;
  const atMs = Date.parse(text);
  return Number.isFinite(atMs) ? Math.max(0, atMs - wallMs) : null;
}
