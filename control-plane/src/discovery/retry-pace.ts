import type { Random } from '@remora/core/random';

/** After how many ms to ask a source again that failed `failures` times in a row: 0.5 s, doubling up to 30 s, less up to a quarter so that not all come at once. */
export function retryAfterMs(failures: number, random: Random): number {
  return Math.min(30_000, 500 * 2 ** Math.min(10, Math.max(0, failures - 1))) * (1 - 0.25 * random.next());
}
