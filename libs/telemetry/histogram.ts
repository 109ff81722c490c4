import type { ExponentialHistogram } from '@remora/proto/gen/remora/telemetry/v1/telemetry';

/**
 * Latencies in OpenTelemetry's exponential layout with a fixed scale and range, so that data threads, control plane
 * and exporters add up each other's counts without ever rescaling. Scale 3: eight buckets per doubling, so a quantile is
 * off by at most 4.5 %. Plain counts live in arrays of `bucketCount` numbers: index 0 holds everything up to
 * `lowestMs` (OpenTelemetry's zero bucket), index i ≥ 1 holds (bound(i - 1), bound(i)], the last everything above too.
 */
export interface Histogram {
  /** `bucketCount` counts. */
  readonly counts: Float64Array;
  /** Milliseconds. */
  sum: number;
  max: number;
}

export const histogramScale = 3;
const perDoubling = 2 ** histogramScale;
/** OpenTelemetry index of bucket 1: base^-35 is 0.048 ms. */
export const histogramOffset = -35;
/** Up to base^154, which is 10.4 minutes. */
const lastIndex = 153;
export const bucketCount = lastIndex - histogramOffset + 2;
/** Values up to this, in milliseconds, are counted in bucket 0. */
export const lowestMs = 2 ** (histogramOffset / perDoubling);
/** Largest relative error of a quantile between `lowestMs` and the upper end. */
export const quantileErrorMax = 2 ** (1 / perDoubling / 2) - 1;

/** Index into an array of `bucketCount` counts. Total: NaN and negative values count as 0 ms. */
export function bucketOf(ms: number): number {
  if (!(ms > lowestMs)) return 0;
  const index = Math.ceil(Math.log2(ms) * perDoubling) - 1;
  return index >= lastIndex ? bucketCount - 1 : index - histogramOffset + 1;
}

/** Upper bound of a bucket in milliseconds, inclusive. */
export function upperBoundMs(bucket: number): number {
  return 2 ** ((bucket + histogramOffset) / perDoubling);
}

export function createHistogram(): Histogram {
  return { counts: new Float64Array(bucketCount), sum: 0, max: 0 };
}

export function observe(histogram: Histogram, ms: number): void {
  const bucket = bucketOf(ms);
  histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1;
  if (ms > 0) histogram.sum += ms;
  if (ms > histogram.max) histogram.max = ms;
}

/** Adds `source` to `into`. */
export function mergeHistogram(into: Histogram, source: { readonly counts: ArrayLike<number>; readonly sum: number; readonly max: number }): void {
  const { counts } = into;
  const length = Math.min(bucketCount, source.counts.length);
  for (let i = 0; i < length; i++) counts[i] = (counts[i] ?? 0) + (source.counts[i] ?? 0);
  into.sum += source.sum;
  if (source.max > into.max) into.max = source.max;
}

export function countOf(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i] ?? 0;
  return total;
}

/**
 * Estimate of the q-quantile in milliseconds (q from 0 to 1): the geometric middle of the bucket that holds it, never above
 * `maxMs` where that is known. 0 where nothing was counted.
 */
export function quantileMs(counts: ArrayLike<number>, q: number, maxMs = Number.POSITIVE_INFINITY): number {
  const total = countOf(counts);
  if (total === 0) return 0;
  const rank = Math.max(1, Math.ceil(q * total));
  let seen = 0;
  for (let i = 0; i < counts.length; i++) {
    seen += counts[i] ?? 0;
    if (seen >= rank) return Math.min(maxMs, middleMs(i));
  }
  return maxMs;
}

function middleMs(bucket: number): number {
  return bucket === 0 ? lowestMs / 2 : 2 ** ((bucket + histogramOffset - 0.5) / perDoubling);
}

/** The form that travels: empty buckets at both ends are cut off. */
export function toProtoHistogram(source: { readonly counts: ArrayLike<number>; readonly sum: number; readonly max: number }): ExponentialHistogram {
  const { counts } = source;
  let first = 1;
  let last = Math.min(bucketCount, counts.length) - 1;
  while (first <= last && (counts[first] ?? 0) === 0) first++;
  while (last >= first && (counts[last] ?? 0) === 0) last--;
  const sent: bigint[] = [];
  for (let i = first; i <= last; i++) sent.push(BigInt(counts[i] ?? 0));
  return {
    scale: histogramScale,
    offset: sent.length === 0 ? histogramOffset : histogramOffset + first - 1,
    counts: sent,
    zeroCount: BigInt(counts[0] ?? 0),
    count: BigInt(countOf(counts)),
    sum: source.sum,
    max: source.max,
  };
}

/** Null where scale or range are not ours: a sender with another layout is refused, not misread. */
export function fromProtoHistogram(sent: ExponentialHistogram): Histogram | null {
  const first = sent.offset - histogramOffset + 1;
  if (sent.scale !== histogramScale || first < 1 || first + sent.counts.length > bucketCount) return null;
  if (!Number.isFinite(sent.sum) || !Number.isFinite(sent.max)) return null;
  const histogram = createHistogram();
  histogram.counts[0] = Number(sent.zeroCount);
  sent.counts.forEach((count, i) => {
    histogram.counts[first + i] = Number(count);
  });
  histogram.sum = sent.sum;
  histogram.max = sent.max;
  return histogram;
}

/** Upper bounds in milliseconds that Prometheus histograms show: one per doubling, exact bucket borders, 0.25 ms to 524 s. */
export const prometheusBoundsMs: readonly number[] = Array.from({ length: 22 }, (_, i) => 2 ** (i - 2));

/** Cumulative counts for `prometheusBoundsMs`, then the total (`+Inf`). */
export function toPrometheusBuckets(counts: ArrayLike<number>): number[] {
  const cumulative: number[] = [];
  let seen = 0;
  let bucket = 0;
  for (const bound of prometheusBoundsMs) {
    const last = bucketOf(bound);
    for (; bucket <= last; bucket++) seen += counts[bucket] ?? 0;
    cumulative.push(seen);
  }
  cumulative.push(countOf(counts));
  return cumulative;
}
