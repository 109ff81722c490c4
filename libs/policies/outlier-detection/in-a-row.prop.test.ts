import { reasons } from '@remora/errors/reason';
import type { Call } from '@remora/policy-kit/exchange';
import { HostStates } from '@remora/policy-kit/host-states';
import type { Host, HostSet } from '@remora/policy-kit/hosts';
import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { ManualClock } from '@remora/testing/manual-clock';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outlierDetectionAuthoring } from './compile.ts';
import { ejectionMs } from './ejection-time.ts';
import { findOutliers } from './compare-hosts.ts';
import { HostRows } from './host-rows.ts';
import { OutlierWatch } from './outlier-watch.ts';
import { outlierDetectionWire, type OutlierDetectionSettings } from './wire.ts';

const ends = ['200', '404', '500', '503', 'reset', 'timeout', 'refused', 'stale', 'overflow'] as const;
type End = (typeof ends)[number];
interface Limits { readonly consecutive5xx: number; readonly consecutiveGatewayErrors: number; readonly consecutiveLocalFailures: number }

/** What the page says, in the plainest words: for each detector, the run of failures so far that are of its sort. */
class Model {
  readonly #limits: readonly number[];
  readonly #runs = [0, 0, 0];

  constructor({ consecutive5xx, consecutiveGatewayErrors, consecutiveLocalFailures }: Limits) {
    this.#limits = [consecutive5xx, consecutiveGatewayErrors, consecutiveLocalFailures];
  }

  /** True: somebody would be ejected by it. */
  end(end: End): boolean {
    if (end === 'overflow') return false;
    const level = { 200: -1, 404: -1, 500: 0, 503: 1, reset: 2, timeout: 2, refused: 2, stale: 2 }[end];
    let ejects = false;
    this.#limits.forEach((limit, detector) => {
      const run = this.#runs[detector] as number;
      if (level < detector) this.#runs[detector] = 0;
      else if (end === 'stale') this.#runs[detector] = Math.max(run, Math.min(run + 1, limit - 1));
      else if (limit > 0 && run + 1 >= limit) {
        this.#runs[detector] = 0;
        ejects = true;
      } else if (limit > 0) this.#runs[detector] = run + 1;
    });
    return ejects;
  }
}

function host(slot: number): Host {
  return {
    service: 'payments', port: 'http', id: `p${slot}`, address: `10.0.0.${slot}:80`, slot, weight: 1, locality: '', labels: [], backup: false, suspect: false, draining: false,
    since: 1000, active: 0, downUntil: 0, latencyMs: 0, latencyAt: 0, owesSince: 0,
  };
}

test('failures in a row eject as the model says, whatever happens in which order', () => {
  const limit = fc.integer({ min: 0, max: 6 });
  fc.assert(fc.property(
    fc.record({ consecutive5xx: limit, consecutiveLocalFailures: limit }), fc.boolean(), fc.array(fc.constantFrom(...ends), { maxLength: 60 }),
    ({ consecutive5xx, consecutiveLocalFailures }, gateway, sequence) => {
      const limits = { consecutive5xx, consecutiveLocalFailures, consecutiveGatewayErrors: gateway && consecutive5xx !== 1 ? Math.max(1, consecutive5xx - 1) : 0 };
      const { body } = outlierDetectionAuthoring.compile(effectiveSection(outlierDetectionAuthoring, { ...limits, maxEjected: '100%', baseEjection: '100ms' }));
      const clock = new ManualClock();
      const context = new TestFilterContext('outlierDetection', { side: 'outbound', clock });
      const watch = new OutlierWatch(outlierDetectionWire.decode(body), context, { buffer: new SharedArrayBuffer(HostRows.bytes) });
      const all = [host(0), host(1)];
      const hosts: HostSet = { hosts: all, all, states: new HostStates(new ArrayBuffer(HostStates.bytes())), locality: '' };
      const model = new Model(limits);
      for (const end of sequence) {
        // Longer than any ejection, so that each one is one of its own; and so that no two failures are one event.
        clock.advance(1_000_000);
        const call = { hosts, reused: end === 'stale' } as unknown as Call;
        const before = context.events.filter(({ event }) => event === 'ejected').length;
        const [one] = all as [Host];
        if (/^\d/.test(end)) watch.answered(call, one, Number(end), -1, 1);
        else watch.failed(call, one, { reset: reasons.upstreamReset, stale: reasons.upstreamReset, timeout: reasons.upstreamTimeout, refused: reasons.connectFailure, overflow: reasons.overflow }[end as 'reset'], end !== 'refused' && end !== 'overflow');
        expect(context.events.filter(({ event }) => event === 'ejected').length > before).toBe(model.end(end));
      }
    },
  ), { numRuns: 300 });
});

test('shares eject by Envoy\'s formulas: below mean - deviations x standard deviation of the population; at the threshold or above', () => {
  const settings = fc.record({
    successRate: fc.record({ deviations: fc.double({ min: 0.1, max: 4, noNaN: true }), minHosts: fc.integer({ min: 2, max: 6 }), minRequests: fc.integer({ min: 1, max: 50 }) }),
    failurePercentage: fc.record({ threshold: fc.double({ min: 0.01, max: 1, noNaN: true }), minHosts: fc.integer({ min: 2, max: 6 }), minRequests: fc.integer({ min: 1, max: 50 }) }),
  });
  const volumes = fc.array(fc.tuple(fc.nat(100), fc.nat(100)).map(([a, b]) => ({ requests: Math.max(a, b), successes: Math.min(a, b) })), { maxLength: 12 });
  fc.assert(fc.property(settings, volumes, ({ successRate, failurePercentage }, counted) => {
    const enough = (min: number): number[] => counted.flatMap(({ requests }, index) => (requests >= min ? [index] : []));
    const rate = (index: number): number => (counted[index]?.successes ?? 0) / (counted[index]?.requests ?? 1);
    const byRate = enough(successRate.minRequests);
    const mean = byRate.reduce((sum, index) => sum + rate(index), 0) / byRate.length;
    const least = mean - successRate.deviations * Math.sqrt(byRate.reduce((sum, index) => sum + (rate(index) - mean) ** 2, 0) / byRate.length);
    const byShare = enough(failurePercentage.minRequests);
    const expected = new Set([
      ...(byRate.length >= successRate.minHosts ? byRate.filter((index) => rate(index) < least) : []),
      ...(byShare.length >= failurePercentage.minHosts ? byShare.filter((index) => 1 - rate(index) >= failurePercentage.threshold) : []),
    ]);
    expect(new Set(findOutliers(counted, { successRate, failurePercentage }).map(({ index }) => index))).toEqual(expected);
  }), { numRuns: 1_000 });
});

test('an ejection lasts base x count, at most the cap, and jitter beyond', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 100, max: 60_000 }), fc.integer({ min: 100, max: 600_000 }), fc.nat(10_000), (times, baseEjectionMs, maxEjectionMs, jitterMs) => {
    const settings = { baseEjectionMs, maxEjectionMs, jitterMs } as OutlierDetectionSettings;
    const least = Math.min(baseEjectionMs * times, maxEjectionMs);
    expect(ejectionMs(times, settings, { next: () => 0 })).toBe(least);
    expect(ejectionMs(times, settings, { next: () => 0.5 })).toBe(least + jitterMs / 2);
  }));
});
