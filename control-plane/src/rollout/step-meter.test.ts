import { expect, it } from 'vitest';
import { createTrafficCounts } from '../telemetry/traffic-counts.ts';
import { TargetTotals } from '../telemetry/target-totals.ts';
import { StepMeter } from './step-meter.ts';

function fixture() {
  const totals = { current: new TargetTotals() };
  const meter = new StepMeter((side) => totals.current.read('orders', { version: side === 'stable' ? 'v1' : 'v2' }));
  const report = (version: string, requests: number, failed: number, nowMs: number): void => {
    const name = { destination: 'orders', target: `version=${version}` };
    const counts = createTrafficCounts();
    counts.requests = requests;
    counts.classes.set([0, 0, requests - failed, 0, 0, failed]);
    counts.latency[40] = requests;
    totals.current.seen(name, nowMs);
    totals.current.add(name, counts);
  };
  return { totals, meter, report };
}

it('counts from the beginning of a step', () => {
  const { meter, report } = fixture();
  report('v1', 900, 90, 1_000);
  expect(meter.measure()).toMatchObject({ candidate: null, stable: null });
  meter.begin();
  expect(meter.measure()).toMatchObject({ candidate: null, stable: { requests: 0, errors: 0 }, reportedAtMs: Number.NEGATIVE_INFINITY });
  report('v1', 100, 1, 6_000);
  report('v2', 10, 2, 7_000);
  const measured = meter.measure();
  expect(measured).toMatchObject({ candidate: { requests: 10, errors: 2 }, stable: { requests: 100, errors: 1 }, reportedAtMs: 6_000 });
  expect(measured.stable?.latency[40]).toBe(100);
  meter.begin();
  expect(meter.measure()).toMatchObject({ candidate: { requests: 0 }, stable: { requests: 0 } });
});

it('has no figures where sums went back', () => {
  const { meter, report, totals } = fixture();
  report('v1', 900, 0, 1_000);
  report('v2', 900, 0, 1_000);
  meter.begin();
  totals.current = new TargetTotals();
  report('v1', 1_000, 0, 2_000);
  report('v2', 10, 0, 2_000);
  expect(meter.measure()).toMatchObject({ candidate: null, stable: { requests: 100 } });
});
