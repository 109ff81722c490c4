import type { JsonObject } from '@remora/core/canonical-json';
import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import type { Call } from '@remora/policy-kit/exchange';
import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { describe, expect, test } from 'vitest';
import { hedgingAuthoring } from './compile.ts';
import { hedgingRuntime } from './filter.ts';

testKindCases(import.meta.dirname, hedgingAuthoring, hedgingRuntime);

interface Scene {
  readonly section?: JsonObject;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly bodyLength?: number;
  readonly call?: Partial<Call>;
  readonly context?: TestFilterContext;
}

const budget = { take: () => true };

function drive(scene: Scene = {}): LayerDriver & { context: TestFilterContext } {
  const context = scene.context ?? new TestFilterContext('hedging', { side: 'outbound', scope: 'outbound/web/to/payments/' });
  const { body } = hedgingAuthoring.compile(effectiveSection(hedgingAuthoring, scene.section ?? { delay: '100ms' }));
  const layer = hedgingRuntime.layer?.(hedgingRuntime.decode(body), context);
  if (!layer) throw new Error('hedging is a layer');
  const request = { method: scene.method ?? 'GET', authority: 'payments', target: '/', headers: scene.headers ?? {}, bodyLength: scene.bodyLength ?? 0 };
  return Object.assign(new LayerDriver(layer, context, { request }, { budget, ...scene.call }), { context });
}

function bytes(text: string): [Uint8Array, number, number] {
  return [Buffer.from(text), 0, text.length];
}

/** Both tries of a call that has taken long. */
function hedged(scene: Scene = {}): { driver: ReturnType<typeof drive>; first: LayerDriver['last']; second: LayerDriver['last'] } {
  const driver = drive(scene);
  const first = driver.last;
  first.call.endpoint = 'payments-1';
  driver.context.timers.advance(100);
  expect(driver.attempts).toHaveLength(2);
  return { driver, first, second: driver.last };
}

describe('a second try', () => {
  test('is made after the delay, elsewhere, with what is left of the time, and says what it is', () => {
    const { second } = hedged({ headers: { 'x-remora-deadline': '1000' }, call: { headersTimeoutMs: 1000, maxStreamMs: 5000 } });
    expect(second.call).toMatchObject({ attempt: 2, avoid: ['payments-1'], endpoint: '', headersTimeoutMs: 900, maxStreamMs: 4900 });
    expect(second.lines).toEqual(expect.arrayContaining(['x-remora-attempt: 2', 'x-remora-deadline: 900']));
  });

  test('that answers first wins, and the first is cancelled', () => {
    const { driver, first, second } = hedged();
    second.call.host = { address: '10.0.0.2:80' } as never;
    second.answer(200, {}, 'theirs');
    expect(driver.response.events).toEqual(['head 200', 'data "theirs" end']);
    expect(first.source.stopped).toBe(reasons.downstreamReset);
    first.answer(200, {}, 'late');
    expect(driver.response.text).toBe('theirs');
    expect(driver.x.upstream).toBe('10.0.0.2:80');
    expect(driver.context.counts).toEqual(new Map([['hedging_hedged', 1], ['hedging_won', 1]]));
  });

  test('loses where the first answers after all', () => {
    const { driver, first, second } = hedged();
    first.answer(200, {}, 'mine');
    expect(driver.response.events).toEqual(['head 200', 'data "mine" end']);
    expect(second.source.stopped).not.toBeNull();
    expect(driver.context.counts.get('hedging_won')).toBeUndefined();
  });

  test.each([
    { name: 'a failure', fail: (attempt: LayerDriver['last']) => attempt.answer(503, {}, 'no') },
    { name: 'a reset', fail: (attempt: LayerDriver['last']) => attempt.fail(reasons.upstreamReset) },
  ])('$name of one try waits for the other', ({ fail }) => {
    for (const failing of ['first', 'second'] as const) {
      const pair = hedged();
      fail(pair[failing]);
      expect(pair.driver.response.events).toEqual([]);
      pair[failing === 'first' ? 'second' : 'first'].answer(200, {}, 'good');
      expect(pair.driver.response.events).toEqual(['head 200', 'data "good" end']);
    }
  });

  test('that fails after the first is what goes out; who tries again avoids both hosts', () => {
    const { driver, first, second } = hedged();
    second.call.endpoint = 'payments-2';
    first.fail(reasons.connectFailure);
    second.fail(reasons.upstreamReset);
    expect(driver.response.events).toEqual(['reset upstream-reset']);
    expect(first.call.avoid).toEqual(['payments-2']);
  });

  test('with a failure after the first broke is what goes out', () => {
    const { driver, first, second } = hedged();
    first.fail(reasons.upstreamReset);
    second.answer(503, {}, 'no');
    expect(driver.response.events).toEqual(['head 503', 'data "no" end']);
  });

  test('goes with the client', () => {
    const { driver, first, second } = hedged();
    driver.response.bound?.stop(reasons.downstreamReset);
    expect([first.source.stopped, second.source.stopped]).toEqual([reasons.downstreamReset, reasons.downstreamReset]);
  });

  test('does not end a response that has begun', () => {
    const { driver, first } = hedged();
    first.response.head(buildResponseHead({ status: 200, bodyLength: 8 }), false);
    first.response.data(...bytes('half'), false);
    first.fail(reasons.upstreamReset);
    expect(driver.response.events).toEqual(['head 200', 'data "half"', 'reset upstream-reset']);
  });

  test('leaves 1xx and trailers of the winner', () => {
    const { driver, first, second } = hedged();
    first.response.info(buildResponseHead({ status: 103 }));
    second.response.info(buildResponseHead({ status: 103 }));
    first.response.head(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    first.response.trailers(buildResponseHead({ status: 0, headers: { 'grpc-status': '0' } }));
    expect(driver.response.events).toEqual(['info 103', 'head 200', 'trailers grpc-status: 0']);
  });
});

describe('no second try', () => {
  test.each<Scene & { readonly name: string }>([
    { name: 'of what must not be done twice', method: 'POST' },
    { name: 'of a further attempt', call: { attempt: 2 } },
    { name: 'of what is a retry of another hop', headers: { 'x-remora-attempt': '2' } },
    { name: 'without a budget', call: { budget: null } },
    { name: 'that the budget denies', call: { budget: { take: () => false } } },
    { name: 'where there is one host', call: { hosts: { hosts: [{}] } as never } },
    { name: 'of a body that is too long', method: 'PUT', bodyLength: 100_000 },
    { name: 'of a body that is not here yet', method: 'PUT', bodyLength: 8 },
    { name: 'before enough is known', section: { quantile: '95%' } },
  ])('$name', ({ name: _name, ...scene }) => {
    const driver = drive(scene);
    driver.context.timers.advance(10_000);
    expect(driver.attempts).toHaveLength(1);
    driver.last.answer(200);
    expect(driver.response.events).toEqual(['head 200 end']);
  });

  test.each([
    { name: 'has answered', end: (driver: LayerDriver) => driver.last.answer(200) },
    { name: 'has failed', end: (driver: LayerDriver) => driver.last.fail() },
    { name: 'is not wanted any more', end: (driver: LayerDriver) => driver.response.bound?.stop(reasons.downstreamReset) },
  ])('where the first $name', ({ end }) => {
    const driver = drive();
    end(driver);
    driver.context.timers.advance(1000);
    expect(driver.attempts).toHaveLength(1);
  });
});

describe('a body', () => {
  test('is sent to both', async () => {
    const driver = drive({ method: 'POST', headers: { 'idempotency-key': 'a' }, bodyLength: 8 });
    const first = driver.last;
    first.call.body.resume();
    driver.request.data(...bytes('abcd'), false);
    driver.request.data(...bytes('efgh'), true);
    driver.context.timers.advance(100);
    driver.last.call.body.resume();
    await Promise.resolve();
    expect([first.bodySink.text, driver.last.bodySink.text, driver.last.bodySink.ended]).toEqual(['abcdefgh', 'abcdefgh', true]);
    driver.last.answer(200);
    expect(driver.response.events).toEqual(['head 200 end']);
  });

  test('that the client breaks off ends both', () => {
    const driver = drive({ method: 'PUT', bodyLength: 8 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcd'), false);
    driver.request.reset(reasons.downstreamReset);
    expect(driver.last.bodySink.events).toEqual(['data "abcd"', 'reset downstream-reset']);
    driver.context.timers.advance(1000);
    expect(driver.attempts).toHaveLength(1);
  });
});

test('the quantile of what calls took is learned, and hedges follow it', () => {
  const context = new TestFilterContext('hedging', { side: 'outbound', scope: 'outbound/web/to/payments/' });
  const section = { quantile: '90%', samples: 50 };
  for (let i = 0; i < 100; i += 1) {
    const driver = drive({ context, section });
    context.clock.advance(i % 20 === 0 ? 200 : 10);
    driver.last.answer(200);
  }
  const driver = drive({ context, section });
  context.timers.advance(9);
  expect(driver.attempts).toHaveLength(1);
  context.timers.advance(4);
  expect(driver.attempts).toHaveLength(2);
});
