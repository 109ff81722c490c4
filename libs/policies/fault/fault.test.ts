import type { JsonObject } from '@remora/core/canonical-json';
import type { EdgeFilter } from '@remora/policy-kit/exchange';
import { WAIT } from '@remora/policy-kit/exchange';
import { effectiveSection } from '@remora/testing/effective-section';
import { driveExchange, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { describe, expect, test } from 'vitest';
import { faultAuthoring } from './compile.ts';
import { faultRuntime } from './filter.ts';

testKindCases(import.meta.dirname, faultAuthoring, faultRuntime);

const get = { request: { method: 'GET', authority: 'orders', target: '/' } };
const until = '2026-01-01T01:00:00Z';

function build(faults: JsonObject, shadow = false): { filter: EdgeFilter; context: TestFilterContext } {
  const context = new TestFilterContext('fault', { shadow });
  const filter = faultRuntime.edge?.(faultRuntime.decode(faultAuthoring.compile(effectiveSection(faultAuthoring, { faults })).body), context);
  if (!filter) throw new Error('there are faults');
  return { filter, context };
}

describe('fault', () => {
  test('hits the share that it says', () => {
    const { filter, context } = build({ broken: { until, abort: { status: 500, ratio: '20%' } } });
    const hits = Array.from({ length: 5000 }, () => filter.request?.(makeExchange(get, context)) ?? null).filter((verdict) => verdict !== null).length;
    expect(hits / 5000).toBeCloseTo(0.2, 1);
    expect(context.counts.get('fault_aborted')).toBe(hits);
  });

  test('ends by the wall clock, whatever steps it makes', () => {
    const { filter, context } = build({ broken: { until, abort: { status: 500 } } });
    const ask = (): string => driveExchange(filter, context, get).verdict;
    expect(ask()).toBe('fault-injected');
    context.clock.stepWall(3_600_000);
    expect(ask()).toBe('pass');
    context.clock.stepWall(-3_600_000);
    expect(ask()).toBe('fault-injected');
  });

  test('answers with the status that it was given', () => {
    const { filter, context } = build({ broken: { until, abort: { status: 418 } } });
    expect(driveExchange(filter, context, get)).toMatchObject({ verdict: 'fault-injected', status: 418, pointer: '/faults/broken/abort' });
  });

  test('of several, the longest delay counts, and the first abort by name', () => {
    const { filter, context } = build({
      b: { until, delay: { duration: '3s' }, abort: { status: 501 } }, a: { until, delay: { duration: '1s' } }, c: { until, delay: { duration: '2s' }, abort: { status: 502 } },
    });
    expect(driveExchange(filter, context, get)).toMatchObject({ status: 501, waitedMs: 3000 });
  });

  test('does not delay in shadow, but says what it would have aborted', () => {
    const { filter, context } = build({ both: { until, delay: { duration: '1s' }, abort: { status: 503 } } }, true);
    expect(filter.request?.(makeExchange(get, context))).toMatchObject({ status: 503 });
    expect(context.timers.pending).toBe(0);
    expect(context.counts.get('fault_delayed')).toBe(1);
  });

  test('a client that goes while it waits gives its place back', () => {
    const { filter, context } = build({ slow: { until, delay: { duration: '1s' } } });
    for (let i = 0; i < 10_010; i += 1) {
      const x = makeExchange(get, context);
      filter.request?.(x);
      context.timers.cancel(x);
      filter.complete?.(x);
    }
    expect(context.counts.get('fault_delayed')).toBe(10_010);
  });

  test('holds back a bounded number of requests; the others pass', () => {
    const { filter, context } = build({ slow: { until, delay: { duration: '1s' } } });
    const verdicts = Array.from({ length: 10_010 }, () => filter.request?.(makeExchange(get, context)));
    expect(verdicts.filter((verdict) => verdict === WAIT)).toHaveLength(10_000);
    expect(context.counts.get('fault_delay_skipped')).toBe(10);
  });
});
