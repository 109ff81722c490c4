import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LatencySketch } from './latency-sketch.ts';

describe('latency sketch', () => {
  test('is never more than a bucket above the exact quantile, and never below it', () => {
    const latencies = fc.array(fc.double({ min: 0.3, max: 50_000, noNaN: true }), { minLength: 10, maxLength: 400 });
    fc.assert(fc.property(latencies, fc.constantFrom(0.5, 0.9, 0.95, 0.99), (all, share) => {
      const memory = new SharedArrayBuffer(LatencySketch.bytes);
      const threads = [new LatencySketch({ buffer: memory }), new LatencySketch({ buffer: memory })] as const;
      for (const [i, ms] of all.entries()) threads[i % 2 === 0 ? 0 : 1].record(ms, 1000);
      const exact = [...all].sort((a, b) => a - b)[Math.ceil(all.length * share) - 1] ?? 0;
      const told = threads[0].quantile(share, 10, 1000) ?? 0;
      expect(told).toBeGreaterThanOrEqual(exact * 0.9999);
      expect(told).toBeLessThanOrEqual(exact * 1.19);
    }));
  });

  test('forgets: after ten seconds a fourth is left, after a minute nothing', () => {
    const sketch = new LatencySketch({ buffer: new ArrayBuffer(LatencySketch.bytes) });
    for (let i = 0; i < 400; i += 1) sketch.record(100, 1000);
    expect(sketch.quantile(0.5, 400, 1000)).toBeGreaterThan(99);
    expect([sketch.quantile(0.5, 100, 11_000), sketch.quantile(0.5, 101, 11_000), sketch.quantile(0.5, 1, 61_000)]).toEqual([expect.any(Number), null, null]);
  });

  test('follows a destination that becomes slow within seconds', () => {
    const sketch = new LatencySketch({ buffer: new ArrayBuffer(LatencySketch.bytes) });
    for (let at = 0; at < 20_000; at += 10) sketch.record(5, at);
    for (let at = 20_000; at < 30_000; at += 10) sketch.record(80, at);
    expect(sketch.quantile(0.5, 100, 30_000)).toBeGreaterThan(79);
  });
});
