import { Exchange, WAIT } from '@remora/policy-kit/exchange';
import { effectiveSection } from '@remora/testing/effective-section';
import { buildResponseHead } from '@remora/http/head-builder';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import { consumerFacts } from '@remora/testing/consumer-facts';
import { driveExchange, headLines, makeExchange } from '@remora/testing/exchange-driver';
import { MemoryLiveState, TestFilterContext, type TestContextOptions } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { ManualClock } from '@remora/testing/manual-clock';
import type { JsonObject } from '@remora/core/canonical-json';
import type { EdgeFilter } from '@remora/policy-kit/exchange';
import { describe, expect, test } from 'vitest';
import { rateLimitAuthoring } from './compile.ts';
import { rateLimitRuntime } from './filter.ts';

testKindCases(import.meta.dirname, rateLimitAuthoring, rateLimitRuntime);

const get = { request: { method: 'GET', authority: 'orders', target: '/' } };

function build(limits: JsonObject, options: TestContextOptions = {}, headerStyle = 'none'): { filter: EdgeFilter; context: TestFilterContext } {
  const context = new TestFilterContext('rateLimit', options);
  const body = rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { limits, headerStyle })).body;
  const filter = rateLimitRuntime.edge?.(rateLimitRuntime.decode(body), context);
  if (!filter) throw new Error('the section has limits');
  return { filter, context };
}

function verdicts({ filter, context }: { filter: EdgeFilter; context: TestFilterContext }, count: number): string[] {
  return Array.from({ length: count }, () => driveExchange(filter, context, get).verdict);
}

describe('what is kept over snapshots', () => {
  const limits = { whole: { requests: 2, per: '1m' } };

  test('counts go on where the settings of the limit are the same', () => {
    const shared = { live: new MemoryLiveState(), clock: new ManualClock() };
    expect(verdicts(build(limits, shared), 2)).toEqual(['pass', 'pass']);
    expect(verdicts(build({ ...limits, other: { requests: 100, per: '1s' } }, shared), 1)).toEqual(['rate-limited']);
  });

  test('a changed algorithm begins anew', () => {
    const shared = { live: new MemoryLiveState(), clock: new ManualClock() };
    verdicts(build(limits, shared), 2);
    expect(verdicts(build({ whole: { requests: 2, per: '1m', algorithm: 'fixedWindow' } }, shared), 1)).toEqual(['pass']);
  });

  test('routes of one service share the count, those of another do not', () => {
    const shared = { live: new MemoryLiveState(), clock: new ManualClock() };
    expect(verdicts(build(limits, { ...shared, scope: 'inbound/orders/read' }), 2)).toEqual(['pass', 'pass']);
    expect(verdicts(build(limits, { ...shared, scope: 'inbound/orders/write' }), 1)).toEqual(['rate-limited']);
    expect(verdicts(build(limits, { ...shared, scope: 'inbound/payments/' }), 1)).toEqual(['pass']);
  });

  test('data threads share the count where the engine offers shared memory', () => {
    const buffers = new Map<string, SharedArrayBuffer>();
    const shared = (key: string, _shape: string, bytes: number): { buffer: SharedArrayBuffer } => {
      const buffer = buffers.get(key) ?? new SharedArrayBuffer(bytes);
      buffers.set(key, buffer);
      return { buffer };
    };
    const clock = new ManualClock();
    expect(verdicts(build({ perIp: { requests: 2, per: '1m', key: ['clientAddress'] } }, { clock, shared }), 2)).toEqual(['pass', 'pass']);
    expect(verdicts(build({ perIp: { requests: 2, per: '1m', key: ['clientAddress'] } }, { clock, shared }), 1)).toEqual(['rate-limited']);
  });
});

describe('several limits', () => {
  test('a request that one refuses is not counted by the others', () => {
    const built = build({ narrow: { requests: 1, per: '1m' }, wide: { requests: 2, per: '1m', key: ['method'] } });
    expect(verdicts(built, 3)).toEqual(['pass', 'rate-limited', 'rate-limited']);
    built.context.clock.advance(60_000);
    expect(verdicts(built, 1)).toEqual(['pass']);
  });
});

describe('leaky bucket', () => {
  const limits = { smooth: { algorithm: 'leakyBucket', requests: 10, per: '1s', burst: 2 } };

  test('spaces requests that come together, and refuses beyond the queue', () => {
    const { filter, context } = build(limits);
    const waits: number[] = [];
    const begin = (): unknown => {
      const x = makeExchange(get, context);
      x.proceed = () => waits.push(context.clock.monotonicMs());
      return filter.request?.(x);
    };
    const startedAt = context.clock.monotonicMs();
    expect([begin(), begin(), begin()]).toEqual([null, WAIT, WAIT]);
    expect(begin()).toMatchObject({ reason: { code: 'rate-limited' } });
    context.timers.advance(1000);
    expect(waits.map((at) => Math.round(at - startedAt))).toEqual([100, 200]);
    expect(context.counts.get('rateLimit_delayed')).toBe(2);
  });

  test('a client that goes while it waits gives its place back', () => {
    const { filter, context } = build({ smooth: { algorithm: 'leakyBucket', requests: 1, per: '1s', burst: 60, key: ['clientAddress'], maxKeys: 100_000 } });
    for (let client = 0; client < 10_050; client += 1) {
      for (let i = 0; i < 2; i += 1) {
        const x = makeExchange({ ...get, clientAddress: `client-${client}` }, context);
        filter.request?.(x);
        context.timers.cancel(x);
        filter.complete?.(x);
      }
    }
    expect(context.counts.get('rateLimit_delayed')).toBe(10_050);
    expect(context.counts.get('rateLimit_queue_full')).toBeUndefined();
  });

  test('never waits in shadow', () => {
    const { filter, context } = build(limits, { shadow: true });
    const decide = (): unknown => filter.request?.(makeExchange(get, context));
    expect([decide(), decide(), decide()]).toEqual([null, null, null]);
    expect(context.timers.pending).toBe(0);
  });

  test('holds back a bounded number of requests over all keys', () => {
    const { filter, context } = build({ smooth: { algorithm: 'leakyBucket', requests: 1, per: '1s', burst: 60, key: ['clientAddress'], maxKeys: 100_000 } });
    let refused = 0;
    for (let client = 0; client < 300; client += 1) {
      for (let i = 0; i < 40; i += 1) {
        const verdict = filter.request?.(makeExchange({ ...get, clientAddress: `10.0.${client >> 8}.${client & 255}` }, context));
        if (verdict !== null && verdict !== WAIT) refused += 1;
      }
    }
    expect(context.timers.pending).toBe(10_000);
    expect(refused).toBe(300 * 39 - 10_000);
    expect(context.counts.get('rateLimit_queue_full')).toBe(refused);
    context.timers.advance(60_000);
    expect(filter.request?.(makeExchange(get, context))).toBeNull();
  }, 60_000);
});

test('a client cannot escape its limit by leaving the key header out', () => {
  const built = build({ perKey: { requests: 1, per: '1m', key: ['header.x-api-key'] } });
  expect(verdicts(built, 2)).toEqual(['pass', 'rate-limited']);
});

test('the fixed table forgets the stalest key and counts it', () => {
  const { filter, context } = build({ perIp: { requests: 5, per: '1m', key: ['clientAddress'], maxKeys: 8 } });
  for (let client = 0; client < 9; client += 1) {
    filter.request?.(makeExchange({ ...get, clientAddress: `10.0.0.${client}` }, context));
    context.clock.advance(10);
  }
  expect(context.counts.get('rateLimit_keys_forgotten')).toBe(1);
});

test('names of the object prototype are ordinary keys', () => {
  const built = build({ byName: { requests: 1, per: '1m', key: ['query.__proto__'] } });
  const ask = (target: string): string => driveExchange(built.filter, built.context, { request: { ...get.request, target } }).verdict;
  expect([ask('/?__proto__=a'), ask('/?__proto__=a'), ask('/?__proto__=b')]).toEqual(['pass', 'rate-limited', 'pass']);
});

test('an exchange that no limit is about costs no slot entry', () => {
  const { filter, context } = build({ posts: { requests: 1, per: '1m', match: { methods: ['POST'] } } }, {}, 'draft');
  const x: Exchange = makeExchange(get, context);
  expect(filter.request?.(x)).toBeNull();
  expect(x.slots[0]).toBeUndefined();
});

describe('by who the request is from', () => {
  interface Who {
    readonly consumer?: string;
    readonly plan?: string;
    readonly claims?: Readonly<Record<string, string>>;
    readonly principal?: string;
  }

  /** The verdict of the late part, as it runs after authorization. */
  function late({ filter, context }: { filter: EdgeFilter; context: TestFilterContext }, { consumer, plan = '', claims, principal = '' }: Who): string {
    const x = makeExchange({ ...get, connection: { principal } }, context);
    expect(filter.request?.(x) ?? null).toBeNull();
    if (consumer !== undefined || claims !== undefined) {
      x.identity = new RequestIdentity();
      x.identity.finds('jwt', { consumer: consumer === undefined ? null : { name: consumer, groups: [], plan }, subject: '', issuer: '', claims: claims ?? null, scopes: [] });
    }
    const verdict = filter.late?.request?.(x) ?? null;
    filter.late?.complete?.(x);
    return verdict === null ? 'pass' : typeof verdict === 'symbol' ? 'wait' : `${verdict.reason.code} ${verdict.pointer}`;
  }

  const refused = 'rate-limited /limits/perConsumer';

  test('a limit may be about some consumers or callers only', () => {
    const built = build({ perConsumer: { requests: 1, per: '1m', match: { consumers: ['batch'], paths: ['/*'] } } });
    expect([{ consumer: 'web' }, {}, { consumer: 'batch' }, { consumer: 'web' }, { consumer: 'batch' }].map((who) => late(built, who))).toEqual(['pass', 'pass', 'pass', 'pass', refused]);
    const calls = build({ perConsumer: { requests: 1, per: '1m', match: { callers: ['spiffe://shop.example/service/*'] } } });
    expect(['spiffe://shop.example/service/a', '', 'spiffe://shop.example/service/b', 'spiffe://shop.example/gateway/b'].map((principal) => late(calls, { principal }))).toEqual(['pass', 'pass', refused, 'pass']);
  });

  test('each consumer has a count of its own, and all who are none have one together', () => {
    const built = build({ perConsumer: { requests: 1, per: '1m', key: ['consumer'] } });
    expect(['a', 'b', 'a'].map((consumer) => late(built, { consumer }))).toEqual(['pass', 'pass', refused]);
    expect([late(built, {}), late(built, { claims: {} })]).toEqual(['pass', refused]);
  });

  test('with firstPresent, who is no consumer is counted by what comes next', () => {
    const built = build({ perConsumer: { requests: 1, per: '1m', key: ['consumer', 'claim.sub', 'clientAddress'], keyRule: 'firstPresent' } });
    expect([{ consumer: 'a' }, { claims: { sub: 'a' } }, {}, { claims: { sub: '' } }, { claims: { sub: 'a' } }].map((who) => late(built, who))).toEqual(['pass', 'pass', 'pass', refused, refused]);
  });

  test('callers of the mesh are counted by their certificate', () => {
    const built = build({ perConsumer: { requests: 1, per: '1m', key: ['caller'] } });
    const callers = ['spiffe://mesh/service/a', 'spiffe://mesh/service/b', 'spiffe://mesh/service/a'];
    expect(callers.map((principal) => late(built, { principal }))).toEqual(['pass', 'pass', refused]);
  });

  test('nested claims and claims with dots in their name', () => {
    const built = build({ perConsumer: { requests: 1, per: '1m', key: ['claim.https://shop.example/tenant'] } });
    expect(late(built, { claims: { 'https://shop.example/tenant': 'x' } })).toBe('pass');
    expect(late(built, { claims: { 'https://shop.example/tenant': 'x' } })).toBe(refused);
  });

  const plans = (requests: number): ReturnType<typeof consumerFacts> => consumerFacts({ plans: { plans: [{ name: 'gold', limits: [{ name: 'm', algorithm: 'fixedWindow', requests, perMs: 60_000, burst: 0, sharedBy: '' }], quotas: [] }] } });

  test('the limits of a Plan and of a policy both hold: the tightest decides', () => {
    const built = build({ perConsumer: { requests: 3, per: '1m', key: ['consumer'] } });
    built.context.factBooks.apply(plans(2));
    const ask = (consumer: string, plan: string): string => late(built, { consumer, plan });
    expect([ask('a', 'gold'), ask('a', 'gold'), ask('a', 'gold')]).toEqual(['pass', 'pass', 'rate-limited /plans/gold/limits/m']);
    expect([ask('b', ''), ask('b', ''), ask('b', ''), ask('b', '')]).toEqual(['pass', 'pass', 'pass', refused]);
    expect(ask('c', 'unknown')).toBe('pass');
  });

  test('a Plan that comes again goes on counting, a changed one begins anew', () => {
    const built = build({});
    built.context.factBooks.apply(plans(1));
    expect(late(built, { consumer: 'a', plan: 'gold' })).toBe('pass');
    built.context.factBooks.apply(plans(1));
    expect(late(built, { consumer: 'a', plan: 'gold' })).toContain('rate-limited');
    built.context.factBooks.apply(plans(2));
    expect(late(built, { consumer: 'a', plan: 'gold' })).toBe('pass');
  });

  test('Plans count nothing where the policy says so', () => {
    const context = new TestFilterContext('rateLimit');
    const settings = rateLimitRuntime.decode(rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { plans: false, limits: {} })).body);
    expect(rateLimitRuntime.edge?.(settings, context)).toBeNull();
  });

  test('a response says what all limits have left', () => {
    const built = build({ whole: { requests: 9, per: '1m' }, perConsumer: { requests: 3, per: '1m', key: ['consumer'] } }, {}, 'draft');
    const x = makeExchange(get, built.context);
    built.filter.request?.(x);
    built.filter.late?.request?.(x);
    const head = buildResponseHead({ status: 200 });
    built.filter.late?.response?.(x, head);
    built.filter.response?.(x, head);
    expect(headLines(head).filter((line) => line.startsWith('ratelimit:'))).toEqual(['ratelimit: "whole";r=8;t=7, "perConsumer";r=2;t=20']);
  });
});
