import type { JsonObject } from '@remora/core/canonical-json';
import { buildResponseHead } from '@remora/http/head-builder';
import type { EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { quotaCountName, quotaPeriod } from '@remora/policy-kit/quota-period';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import { consumerFacts } from '@remora/testing/consumer-facts';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange } from '@remora/testing/exchange-driver';
import { MemoryLiveState, TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { ManualClock } from '@remora/testing/manual-clock';
import { MemoryCounts } from '@remora/testing/memory-counts';
import { describe, expect, test } from 'vitest';
import { quotaAuthoring } from './compile.ts';
import { quotaRuntime } from './filter.ts';

testKindCases(import.meta.dirname, quotaAuthoring, quotaRuntime);

interface Sidecar {
  readonly context: TestFilterContext;
  readonly filter: EdgeFilter;
}

const monthly = { name: 'monthly', requests: 10, per: 'month', timeZone: 'UTC', startsOn: 1, throttleRequests: 0, throttlePerMs: 0 };

function sidecarOf(clock: ManualClock, store: MemoryCounts, quotas: readonly (typeof monthly)[] = [monthly], section: JsonObject = { headers: true }): Sidecar {
  const context = new TestFilterContext('quota', { clock });
  store.announce(context.factBooks);
  context.factBooks.apply(consumerFacts({ plans: { plans: [{ name: 'gold', limits: [], quotas: [...quotas] }] } }));
  const filter = quotaRuntime.edge?.(quotaRuntime.decode(quotaAuthoring.compile(effectiveSection(quotaAuthoring, section)).body), context);
  if (!filter) throw new Error('there is a filter');
  return { context, filter };
}

/** One request, with the store's answer as soon as it is asked for. */
function ask({ context, filter }: Sidecar, store: MemoryCounts, consumer = 'acme'): { readonly verdict: string; readonly headers: readonly string[] } {
  const x: Exchange = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, context);
  x.identity = new RequestIdentity();
  x.identity.finds('apiKey', { consumer: { name: consumer, groups: [], plan: 'gold' }, subject: '', issuer: '', claims: null, scopes: [] });
  let verdict = 'wait';
  x.proceed = () => { verdict = 'pass'; };
  x.answer = (_, { reason, pointer }) => { verdict = `${reason.code} ${pointer}`; };
  const first = filter.request?.(x) ?? null;
  if (first === null) verdict = 'pass';
  else if (typeof first !== 'symbol') verdict = `${first.reason.code} ${first.pointer}`;
  while (context.asked.length > 0) for (const { body, answered } of context.asked.splice(0)) answered(store.answer(body));
  const head = buildResponseHead({ status: 200 });
  filter.response?.(x, head);
  filter.complete?.(x);
  return { verdict, headers: headLines(head).filter((line) => line.startsWith('x-quota')) };
}

function passes(sidecar: Sidecar, store: MemoryCounts, count: number, consumer?: string): number {
  return Array.from({ length: count }, () => ask(sidecar, store, consumer).verdict).filter((verdict) => verdict === 'pass').length;
}

/** The sidecar has drained. */
function end({ context }: Sidecar, store: MemoryCounts): void {
  if (context.live instanceof MemoryLiveState) context.live.lapse();
  while (context.asked.length > 0) for (const { body, answered } of context.asked.splice(0)) answered(store.answer(body));
}

describe('a quota', () => {
  test('is one count over all sidecars and restarts, for each consumer, until the period ends', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 30));
    const store = new MemoryCounts(clock);
    const [first, second] = [sidecarOf(clock, store), sidecarOf(clock, store)];
    expect([passes(first, store, 6), passes(second, store, 6), passes(first, store, 6, 'other')]).toEqual([6, 4, 6]);
    expect(passes(sidecarOf(clock, store), store, 3)).toBe(0);
    expect(ask(first, store).verdict).toBe('quota-exceeded /plans/gold/quotas/monthly');
    clock.advance(86_400_000);
    expect(passes(first, store, 12)).toBe(10);
  });

  test('what is left of a block goes back when the sidecar ends, the plan changes or the period is over; a sidecar that is killed loses a block and a half at most', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 30));
    const store = new MemoryCounts(clock);
    const large = { ...monthly, requests: 100_000 };
    const used = (): number => {
      const { label } = quotaPeriod({ per: 'month', timeZone: 'UTC', startsOn: 1 }, Date.UTC(2026, 10, 30));
      return 100_000 - store.take({ counting: 'total', ...quotaCountName({ consumer: 'acme', plan: 'gold', quota: 'monthly', period: label }), requests: 100_000, perMs: 0, burst: 0, cost: 1, want: 0, untilMs: 0 }).remaining;
    };
    const drained = sidecarOf(clock, store, [large]);
    passes(drained, store, 1_000);
    expect(used()).toBeGreaterThan(1_000);
    end(drained, store);
    expect(used()).toBe(1_000);
    const killed = sidecarOf(clock, store, [large]);
    passes(killed, store, 1_000);
    expect(used()).toBeLessThanOrEqual(2_000 + 150);
    const lost = used() - 2_000;
    const changed = sidecarOf(clock, store, [large]);
    passes(changed, store, 1_000);
    changed.context.factBooks.apply(consumerFacts({ plans: { plans: [{ name: 'gold', limits: [], quotas: [{ ...large, requests: 200_000 }] }] } }));
    passes(changed, store, 1);
    end(changed, store);
    expect(used()).toBe(3_001 + lost);
    const next = sidecarOf(clock, store, [large]);
    passes(next, store, 1_000);
    clock.advance(86_400_000);
    passes(next, store, 1);
    expect(used()).toBe(4_001 + lost);
  });

  test('what was let in without the store is told when the sidecar ends', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 30));
    const store = new MemoryCounts(clock);
    const sidecar = sidecarOf(clock, store);
    store.away = true;
    expect(passes(sidecar, store, 2)).toBe(2);
    store.away = false;
    end(sidecar, store);
    expect(passes(sidecarOf(clock, store), store, 20)).toBe(8);
  });

  test('responses say what is left of the tightest', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 30, 23));
    const store = new MemoryCounts(clock);
    const sidecar = sidecarOf(clock, store, [monthly, { ...monthly, name: 'hourly', per: 'hour', requests: 3 }]);
    expect(ask(sidecar, store).headers).toEqual(['x-quota-limit: 3', 'x-quota-remaining: 2', 'x-quota-reset: 3600']);
    passes(sidecar, store, 2);
    expect(ask(sidecar, store).verdict).toBe('quota-exceeded /plans/gold/quotas/hourly');
    // What the month had counted for the refused one is given back.
    clock.advance(600_000);
    expect(ask(sidecar, store).verdict).toMatch(/hourly/);
    expect(store.take({ counting: 'total', name: 'gold/monthly/acme/2026-11', identity: JSON.stringify(['gold', 'monthly', 'acme', '2026-11']), requests: 10, perMs: 0, burst: 0, cost: 1, want: 1, untilMs: 0 }).remaining).toBe(6);
  });

  test('large ones are leased in blocks, and end where they should', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 3));
    const store = new MemoryCounts(clock);
    const quota = { ...monthly, requests: 50_000 };
    const sidecars = [sidecarOf(clock, store, [quota]), sidecarOf(clock, store, [quota])];
    let passed = 0;
    for (let i = 0; i < 52_000; i++) {
      if (i % 100 === 0) clock.advance(1);
      passed += passes(sidecars[i % 2] as Sidecar, store, 1);
    }
    expect(passed).toBeLessThanOrEqual(50_000);
    expect(passed).toBeGreaterThan(49_900);
    expect(store.asked / 52_000).toBeLessThan(0.05);
  });

  test('whose end is a throttle goes on slowly', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 3));
    const store = new MemoryCounts(clock);
    const sidecar = sidecarOf(clock, store, [{ ...monthly, throttleRequests: 1, throttlePerMs: 1_000 }]);
    expect(passes(sidecar, store, 10)).toBe(10);
    expect(passes(sidecar, store, 5)).toBe(1);
    clock.advance(1_000);
    expect(passes(sidecar, store, 5)).toBe(1);
    expect(sidecar.context.counts.get('quota_throttled')).toBe(2);
  });

  test('without the store: a part of what was left passes, and is told to the store afterwards', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 3));
    const store = new MemoryCounts(clock);
    const sidecar = sidecarOf(clock, store);
    expect(passes(sidecar, store, 2)).toBe(2);
    store.away = true;
    expect(passes(sidecar, store, 20)).toBe(8);
    store.away = false;
    clock.advance(60_000);
    ask(sidecar, store);
    clock.advance(60_000);
    expect(passes(sidecar, store, 20)).toBe(0);
    expect(passes(sidecarOf(clock, store), store, 5)).toBeLessThanOrEqual(1);
  });

  test.each([['open', 'pass'], ['closed', 'quota-store-unavailable /plans/gold/quotas/monthly']])('onStoreFailure: %s', (onStoreFailure, expected) => {
    const clock = new ManualClock(Date.UTC(2026, 10, 3));
    const store = new MemoryCounts(clock);
    store.away = true;
    const sidecar = sidecarOf(clock, store, [{ ...monthly, requests: 1 }], { onStoreFailure });
    expect([ask(sidecar, store).verdict, ask(sidecar, store).verdict]).toEqual([expected, expected]);
  });

  test('a request that waits for the store keeps its counts while others are looked at', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 30));
    const store = new MemoryCounts(clock);
    const { context, filter } = sidecarOf(clock, store, [{ ...monthly, requests: 2 }, { ...monthly, name: 'daily', per: 'day', requests: 1 }]);
    const waiting = ['acme', 'other', 'acme'].map((consumer) => {
      const x: Exchange = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, context);
      x.identity = new RequestIdentity();
      x.identity.finds('apiKey', { consumer: { name: consumer, groups: [], plan: 'gold' }, subject: '', issuer: '', claims: null, scopes: [] });
      const seen = { consumer, verdict: 'wait' };
      x.proceed = () => { seen.verdict = 'pass'; };
      x.answer = (_, { pointer }) => { seen.verdict = pointer; };
      expect(typeof filter.request?.(x)).toBe('symbol');
      return seen;
    });
    for (const { body, answered } of context.asked.splice(0)) answered(store.answer(body));
    expect(waiting.map(({ consumer, verdict }) => `${consumer} ${verdict}`)).toEqual(['acme pass', 'other pass', 'acme /plans/gold/quotas/daily']);
    // What the third took of its month went back.
    for (const { body, answered } of context.asked.splice(0)) answered(store.answer(body));
    const { label } = quotaPeriod({ per: 'month', timeZone: 'UTC', startsOn: 1 }, clock.wallMs());
    const acme = quotaCountName({ consumer: 'acme', plan: 'gold', quota: 'monthly', period: label });
    expect(store.take({ counting: 'total', ...acme, requests: 2, perMs: 0, burst: 0, cost: 1, want: 0, untilMs: 0 }).remaining).toBe(1);
  });

  test('who is no consumer, or has no quota, is not counted', () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 3));
    const store = new MemoryCounts(clock);
    expect(passes(sidecarOf(clock, store, []), store, 50)).toBe(50);
    expect(store.asked).toBe(0);
  });
});
