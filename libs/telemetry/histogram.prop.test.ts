import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bucketCount, bucketOf, countOf, createHistogram, fromProtoHistogram, lowestMs, mergeHistogram, observe, prometheusBoundsMs,
  quantileErrorMax, quantileMs, toProtoHistogram, toPrometheusBuckets, upperBoundMs,
} from './histogram.ts';

const latency = fc.double({ min: 0, max: 600_000, noNaN: true });
const latencies = fc.array(latency, { minLength: 1, maxLength: 200 });

function histogramOf(values: readonly number[]) {
  const histogram = createHistogram();
  for (const value of values) observe(histogram, value);
  return histogram;
}

describe('the histogram layout', () => {
  test('covers 0.05 ms to 10 min', () => {
    expect(lowestMs).toBeLessThan(0.05);
    expect(upperBoundMs(bucketCount - 1)).toBeGreaterThan(600_000);
    expect(bucketCount).toBe(190);
  });

  test.each([[0, 0], [-1, 0], [Number.NaN, 0], [Number.POSITIVE_INFINITY, bucketCount - 1], [1e12, bucketCount - 1]])('puts %d into bucket %d', (ms, bucket) => {
    expect(bucketOf(ms)).toBe(bucket);
  });

  test('a value lies within the bounds of its bucket', () => {
    fc.assert(fc.property(latency, (ms) => {
      const bucket = bucketOf(ms);
      expect(ms).toBeLessThanOrEqual(upperBoundMs(bucket) * (1 + 1e-12));
      expect(ms).toBeGreaterThanOrEqual(bucket === 0 ? 0 : upperBoundMs(bucket - 1) * (1 - 1e-12));
    }));
  });

  test('an exact border belongs to the bucket below it', () => {
    for (const bound of prometheusBoundsMs) expect(upperBoundMs(bucketOf(bound))).toBe(bound);
  });
});

describe('merging', () => {
  test('is associative, commutative, and equals observing everything in one', () => {
    fc.assert(fc.property(latencies, latencies, latencies, (a, b, c) => {
      const left = histogramOf(a);
      mergeHistogram(left, histogramOf(b));
      mergeHistogram(left, histogramOf(c));
      const right = histogramOf(c);
      const inner = histogramOf(b);
      mergeHistogram(inner, histogramOf(a));
      mergeHistogram(right, inner);
      expect([...left.counts]).toEqual([...right.counts]);
      expect([...left.counts]).toEqual([...histogramOf([...a, ...b, ...c]).counts]);
      expect(left.max).toBe(right.max);
      expect(left.sum).toBeCloseTo(right.sum, 3);
    }));
  });
});

describe('quantiles', () => {
  test('are within the stated error of the exact one', () => {
    fc.assert(fc.property(latencies, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const exact = [...values].sort((a, b) => a - b)[Math.max(1, Math.ceil(q * values.length)) - 1] ?? 0;
      const estimate = quantileMs(histogramOf(values).counts, q);
      expect(Math.abs(estimate - exact)).toBeLessThanOrEqual(Math.max(lowestMs, exact * quantileErrorMax * (1 + 1e-9)));
    }));
  });

  test('of nothing is 0, and never exceeds the known maximum', () => {
    expect(quantileMs(createHistogram().counts, 0.99)).toBe(0);
    expect(quantileMs(histogramOf([10]).counts, 0.99, 10)).toBeLessThanOrEqual(10);
  });
});

describe('conversions', () => {
  test('to the wire and back lose nothing', () => {
    fc.assert(fc.property(fc.array(latency), (values) => {
      const histogram = histogramOf(values);
      expect(fromProtoHistogram(toProtoHistogram(histogram))).toEqual(histogram);
    }));
  });

  test.each([
    ['another scale', { scale: 4 }],
    ['a range below ours', { offset: -36 }],
    ['a range above ours', { offset: 154, counts: [1n] }],
    ['a sum that is no number', { sum: Number.NaN }],
  ])('refuse %s', (_, change) => {
    expect(fromProtoHistogram({ ...toProtoHistogram(histogramOf([1])), ...change })).toBeNull();
  });

  test('to Prometheus are cumulative and end with the total', () => {
    fc.assert(fc.property(fc.array(latency), (values) => {
      const counts = toPrometheusBuckets(histogramOf(values).counts);
      prometheusBoundsMs.forEach((bound, i) => expect(counts[i]).toBe(values.filter((value) => value <= bound).length));
      expect(counts.at(-1)).toBe(countOf(histogramOf(values).counts));
    }));
  });
});
