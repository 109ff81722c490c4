/** One figure over time, and whether it stays where it is. */
export interface Trend {
  readonly what: string;
  readonly first: number;
  readonly last: number;
  /** Theil and Sen's: the median of all slopes between two readings. */
  readonly perHour: number;
  readonly ok: boolean;
  /** Growth that would still pass. */
  readonly allowed: number;
}

export interface Allowance {
  /** Growth between the first and the last fifth of the readings that counts as noise. */
  readonly absolute: number;
  /** The same as a share of the first. */
  readonly share: number;
}

export interface Point {
  readonly atMs: number;
  readonly value: number;
}

/**
 * Whether a figure grows. Compares the median of its first fifth with that of its last, so that single peaks say nothing; what shrinks is fine. The slope is for
 * people.
 */
export function trendOf(what: string, points: readonly Point[], { absolute, share }: Allowance): Trend {
  const fifth = Math.max(1, Math.floor(points.length / 5));
  const first = median(points.slice(0, fifth).map(({ value }) => value));
  const last = median(points.slice(-fifth).map(({ value }) => value));
  const allowed = Math.max(absolute, first * share);
  return { what, first, last, perHour: slope(points) * 3_600_000, ok: points.length > 0 && last - first <= allowed, allowed };
}

/** One line for people. */
export function trendText({ what, first, last, perHour, ok, allowed }: Trend): string {
  const figures = `${first.toFixed(2).padStart(9)} → ${last.toFixed(2).padStart(9)}  ${perHour.toFixed(2).padStart(9)} per hour  (${allowed.toFixed(2)} allowed)`;
  return `${ok ? ' ok ' : 'GREW'} ${what.padEnd(44)} ${figures}`;
}

function slope(points: readonly Point[]): number {
  const slopes: number[] = [];
  for (const [i, one] of points.entries()) {
    for (const other of points.slice(i + 1)) if (other.atMs > one.atMs) slopes.push((other.value - one.value) / (other.atMs - one.atMs));
  }
  return slopes.length === 0 ? 0 : median(slopes);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
