import { SharedWords } from '@remora/policy-kit/atomic-words';
import { seededRandom, type Random } from '@remora/core/random';
import { describe, expect, test } from 'vitest';
import { AdaptiveLimit } from './adaptive-limit.ts';
import type { ConcurrencySettings } from './wire.ts';

const settings: ConcurrencySettings = { adaptive: true, limit: 20, limitMin: 3, limitMax: 1000, tolerance: 0.25, probeEveryMs: 30_000, probeJitter: 0.15, priorities: [] };

interface Service {
  /** Requests that it works on at once; others wait, first come, first served. */
  readonly workers: number;
  readonly serviceMs: (random: Random, nowMs: number) => number;
}

interface Outcome {
  /** Of what is offered, each second. */
  readonly completedPerSecond: number;
  readonly p99Ms: number;
  readonly shed: number;
  readonly limit: number;
}

/** Offers `perSecond` requests at random times, and tells what became of those of the time from `fromMs` on. */
function simulate(service: Service, { perSecond, forMs, fromMs = 0, seed, limited = true }: { readonly perSecond: number; readonly forMs: number; readonly fromMs?: number; readonly seed: number; readonly limited?: boolean }): Outcome {
  const random = seededRandom(seed);
  const limit = new AdaptiveLimit(settings, new SharedWords(new ArrayBuffer(128)));
  const running: { readonly endsMs: number; readonly atMs: number; readonly found: number }[] = [];
  const waiting: { readonly atMs: number; readonly found: number }[] = [];
  const latencies: number[] = [];
  let shed = 0;
  let nextMs = 0;
  const start = (request: { readonly atMs: number; readonly found: number }, nowMs: number): void => {
    const entry = { ...request, endsMs: nowMs + service.serviceMs(random, nowMs) };
    let at = running.findIndex(({ endsMs }) => endsMs > entry.endsMs);
    if (at < 0) at = running.length;
    running.splice(at, 0, entry);
  };
  while (nextMs < forMs) {
    const [first] = running;
    if (first !== undefined && first.endsMs <= nextMs) {
      running.shift();
      limit.answered(first.endsMs - first.atMs, first.found, first.endsMs, random);
      if (first.endsMs >= fromMs) latencies.push(first.endsMs - first.atMs);
      const next = waiting.shift();
      if (next !== undefined) start(next, first.endsMs);
      continue;
    }
    const underWay = running.length + waiting.length;
    if (limited && underWay >= limit.limit) shed += nextMs >= fromMs ? 1 : 0;
    else {
      limit.entered(underWay + 1);
      const request = { atMs: nextMs, found: underWay + 1 };
      if (running.length < service.workers) start(request, nextMs);
      else waiting.push(request);
    }
    nextMs += (-Math.log(1 - random.next()) * 1000) / perSecond;
  }
  latencies.sort((a, b) => a - b);
  return { completedPerSecond: latencies.length / ((forMs - fromMs) / 1000), p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0, shed, limit: limit.limit };
}

const constant = (ms: number) => () => ms;
const exponential = (ms: number) => (random: Random) => -Math.log(1 - random.next()) * ms;
const mixed = (ms: number) => (random: Random) => (random.next() < 0.9 ? ms * 0.6 : ms * 4.6);

describe('at three times what a service can do', () => {
  test.each([
    ['one worker', 1, constant(10)], ['one worker, times at random', 1, exponential(10)], ['4 workers', 4, constant(10)], ['4 workers, times at random', 4, exponential(20)],
    ['50 workers', 50, constant(20)], ['50 workers, times at random', 50, exponential(20)], ['8 workers, one request in ten is long', 8, mixed(10)], ['200 workers, slow', 200, exponential(200)],
  ])('%s: at least 90 %% of it are done, and p99 is at most 3 times that without load', (name, workers, serviceMs) => {
    const mean = 1 / (workers / meanOf(serviceMs));
    const capacity = 1000 / mean;
    const forMs = Math.min(120_000, Math.max(30_000, 12_000_000 / capacity));
    const fromMs = 10_000;
    for (const seed of [1, 2, 3]) {
      const unloaded = simulate({ workers, serviceMs }, { perSecond: capacity * 0.2, forMs, seed, limited: false });
      const overload = simulate({ workers, serviceMs }, { perSecond: capacity * 3, forMs, fromMs, seed });
      const told = `${name}, seed ${seed}: ${JSON.stringify({ share: overload.completedPerSecond / capacity, times: overload.p99Ms / unloaded.p99Ms, limit: overload.limit })}`;
      console.log(told);
      expect(overload.completedPerSecond, told).toBeGreaterThan(capacity * 0.9);
      expect(overload.p99Ms, told).toBeLessThan(unloaded.p99Ms * 3);
    }
  });
});

describe('100 services at random', () => {
  test('what is done under twice to four times what they can do is within 20 % of what they can do, whatever the limit began with', () => {
    const missed: string[] = [];
    for (let seed = 1; seed <= 100; seed++) {
      const draw = seededRandom(seed * 7919);
      const workers = 1 + Math.floor(draw.next() * 40);
      const ms = 5 + draw.next() * 45;
      const serviceMs = [constant(ms), exponential(ms), mixed(ms)][seed % 3] as Service['serviceMs'];
      const capacity = (1000 * workers) / ms;
      const { completedPerSecond, limit } = simulate({ workers, serviceMs }, { perSecond: capacity * (2 + 2 * draw.next()), forMs: 20_000, fromMs: 8_000, seed });
      const share = completedPerSecond / capacity;
      const told = `seed ${seed}: ${workers} workers, ${ms.toFixed(1)} ms, ${(share * 100).toFixed(1)} % of what they can do, limit ${limit}`;
      if (share < 0.8 || share > 1.2) missed.push(told);
    }
    console.log('seeds 1 to 100');
    expect(missed).toEqual([]);
  });
});

describe('below what it can do', () => {
  test.each([['4 workers', 4, exponential(20)], ['50 workers', 50, exponential(20)]])('%s: nearly nothing is shed at 60 %%', (_name, workers, serviceMs) => {
    const perSecond = (workers / 20) * 1000 * 0.6;
    const { shed } = simulate({ workers, serviceMs }, { perSecond, forMs: 60_000, seed: 5 });
    expect(shed).toBeLessThan(perSecond * 60 * 0.01);
  });
});

describe('a service that changes', () => {
  test('three times slower for good: soon it does what it then can', () => {
    const service: Service = { workers: 20, serviceMs: (random, nowMs) => exponential(nowMs < 20_000 ? 10 : 30)(random) };
    const capacity = (20 / 30) * 1000;
    const { completedPerSecond } = simulate(service, { perSecond: capacity * 3, forMs: 60_000, fromMs: 30_000, seed: 8 });
    expect(completedPerSecond).toBeGreaterThan(capacity * 0.9);
  });

  test('faster again: the limit follows', () => {
    const service: Service = { workers: 20, serviceMs: (random, nowMs) => exponential(nowMs < 20_000 ? 30 : 10)(random) };
    const { completedPerSecond, p99Ms } = simulate(service, { perSecond: 6000, forMs: 60_000, fromMs: 30_000, seed: 9 });
    expect(completedPerSecond).toBeGreaterThan(2000 * 0.9);
    expect(p99Ms).toBeLessThan(3 * 10 * -Math.log(0.01));
  });
});

test('a fixed limit is what it is', () => {
  const limit = new AdaptiveLimit({ ...settings, adaptive: false, limit: 7 }, new SharedWords(new ArrayBuffer(128)));
  limit.answered(1000, 1, 1, seededRandom(1));
  expect([limit.limit, limit.unloadedMs]).toEqual([7, 0]);
});

function meanOf(serviceMs: (random: Random) => number): number {
  const random = seededRandom(99);
  let sum = 0;
  for (let i = 0; i < 200_000; i += 1) sum += serviceMs(random);
  return sum / 200_000;
}
