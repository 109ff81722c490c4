import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import type { Call } from '@remora/policy-kit/exchange';
import type { ExchangeStep } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { describe, expect, test } from 'vitest';
import { retryAuthoring } from './compile.ts';
import { retryRuntime } from './filter.ts';
import type { RetrySettings } from './wire.ts';

testKindCases(import.meta.dirname, retryAuthoring, retryRuntime);

const settings: RetrySettings = {
  retries: 2, onReset: true, onRefusedStream: true, onStatuses: new Set([503]), onGrpcStatuses: new Set(['14']), retriableHeaders: ['x-retry'], backoffBaseMs: 25, backoffMaxMs: 250,
  retryAfterMaxMs: 1000, budgetRatio: 0.2, budgetMinPerSecond: 3, replayBytes: 64, guarded: true,
};

interface Scene {
  readonly settings?: Partial<RetrySettings>;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly bodyLength?: number;
  readonly call?: Partial<Call>;
  readonly step?: Partial<ExchangeStep>;
  readonly context?: TestFilterContext;
}

function drive(scene: Scene = {}): LayerDriver & { context: TestFilterContext } {
  const context = scene.context ?? new TestFilterContext('retry', { side: 'outbound', scope: 'outbound/payments/' });
  const layer = retryRuntime.layer?.({ ...settings, ...scene.settings }, context);
  if (!layer) throw new Error('retry is a layer');
  const request = { method: scene.method ?? 'GET', authority: 'payments', target: '/', headers: scene.headers ?? {}, bodyLength: scene.bodyLength ?? 0 };
  return Object.assign(new LayerDriver(layer, context, { ...scene.step, request }, scene.call), { context });
}

/** Longer than any backoff of the settings above. */
const backoff = 300;

function bytes(text: string): [Uint8Array, number, number] {
  return [Buffer.from(text), 0, text.length];
}

describe('what is tried again', () => {
  test.each([
    { name: 'a connect failure', reason: reasons.connectFailure, attempts: 3 },
    { name: 'a connect timeout', reason: reasons.connectTimeout, attempts: 3 },
    { name: 'a connect failure of a method that is not idempotent', reason: reasons.connectFailure, method: 'POST', attempts: 3 },
    { name: 'a reset', reason: reasons.upstreamReset, attempts: 3 },
    { name: 'a reset of a method that is not idempotent', reason: reasons.upstreamReset, method: 'POST', attempts: 1 },
    { name: 'a reset of a POST with an Idempotency-Key', reason: reasons.upstreamReset, method: 'POST', headers: { 'idempotency-key': 'a' }, attempts: 3 },
    { name: 'a reset that retryOn does not name', reason: reasons.upstreamReset, settings: { onReset: false }, attempts: 1 },
    { name: 'a reset of a kept-alive connection, whatever retryOn names', reason: reasons.upstreamReset, settings: { onReset: false }, call: { reused: true }, attempts: 2 },
    { name: 'a reset of a kept-alive connection, not idempotent', reason: reasons.upstreamReset, method: 'POST', call: { reused: true }, attempts: 1 },
    { name: 'an attempt that ran out of its time', reason: reasons.upstreamTimeout, attempts: 3 },
    { name: 'a refused stream', reason: reasons.refusedStream, method: 'POST', attempts: 4 },
    { name: 'a refused stream that retryOn does not name, once', reason: reasons.refusedStream, settings: { onRefusedStream: false }, attempts: 2 },
    { name: 'a refused stream without any budget', reason: reasons.refusedStream, method: 'POST', settings: { onRefusedStream: false, budgetRatio: 0, budgetMinPerSecond: 0 }, attempts: 2 },
    { name: 'no instance at all', reason: reasons.noHealthyUpstream, attempts: 1 },
    { name: 'an answer that is not HTTP', reason: reasons.upstreamProtocol, attempts: 3 },
    { name: 'an answer that is not HTTP, to a method that is not idempotent', reason: reasons.upstreamProtocol, method: 'POST', attempts: 1 },
    { name: 'an answer that is not HTTP, where retryOn does not name resets', reason: reasons.upstreamProtocol, settings: { onReset: false }, call: { reused: true }, attempts: 1 },
    { name: 'an answer that is not HTTP, to what another hop tries again already', reason: reasons.upstreamProtocol, headers: { 'x-remora-attempt': '2' }, attempts: 1 },
    { name: 'too many waiting', reason: reasons.overflow, attempts: 1 },
  ])('$name: $attempts attempts', ({ reason, attempts, ...scene }) => {
    const driver = drive(scene);
    for (let i = 0; i < 5 && driver.response.lastReset === null; i += 1) {
      driver.last.fail(reason);
      driver.context.timers.advance(backoff);
    }
    expect(driver.attempts).toHaveLength(attempts);
    expect(driver.response.events).toEqual([`reset ${reason.code}`]);
  });

  test.each([
    { name: 'a status of the list', status: 503, attempts: 3 },
    { name: 'another status', status: 500, attempts: 1 },
    { name: 'a status of the list, not idempotent', status: 503, method: 'POST', attempts: 1 },
    { name: 'a header of the list', status: 200, answer: { 'x-retry': '1' }, attempts: 3 },
    { name: 'a gRPC code of the list, whatever the method', status: 200, method: 'POST', answer: { 'grpc-status': '14' }, attempts: 3 },
    { name: 'another gRPC code', status: 200, answer: { 'grpc-status': '5' }, attempts: 1 },
    { name: 'Retry-After within the bound', status: 503, answer: { 'retry-after': '1' }, attempts: 3 },
    { name: 'Retry-After beyond the bound', status: 503, answer: { 'retry-after': '2' }, attempts: 1 },
  ])('$name: $attempts attempts', ({ status, answer = {}, attempts, ...scene }) => {
    const driver = drive(scene);
    for (let i = 0; i < 5 && driver.response.lastHead === null; i += 1) {
      driver.last.answer(status, answer, 'sorry');
      driver.context.timers.advance(1000 + backoff);
    }
    expect(driver.attempts).toHaveLength(attempts);
    expect(driver.response.events).toEqual([`head ${status}`, 'data "sorry" end']);
  });
});

describe('an attempt', () => {
  test('passes its answer through untouched', () => {
    const driver = drive();
    driver.last.response.info(buildResponseHead({ status: 103 }));
    driver.last.answer(200, { 'content-type': 'text/plain' }, 'hello');
    expect(driver.response.events).toEqual(['info 103', 'head 200', 'data "hello" end']);
    expect(driver.attempts).toHaveLength(1);
    expect(driver.last.lines.join()).not.toContain('x-remora-attempt');
  });

  test('after the first says its number, avoids the instance before and has what is left of the time', () => {
    const driver = drive({ call: { headersTimeoutMs: 1000, maxStreamMs: 5000 }, headers: { 'x-remora-deadline': '1000' } });
    driver.last.call.endpoint = 'payments-1';
    driver.context.clock.advance(400);
    driver.last.fail();
    driver.context.timers.advance(backoff);
    const spent = driver.context.clock.monotonicMs() - driver.x.startedAt;
    expect(driver.last.call).toMatchObject({ attempt: 2, avoid: ['payments-1'], endpoint: '', reused: false });
    expect(driver.last.call.headersTimeoutMs).toBeGreaterThanOrEqual(1000 - spent);
    expect(driver.last.call.headersTimeoutMs).toBeLessThan(600);
    expect(driver.last.call.maxStreamMs).toBeLessThan(4600);
    expect(driver.last.lines).toContain('x-remora-attempt: 2');
    expect(driver.last.lines).toContain(`x-remora-deadline: ${Math.ceil(driver.last.call.headersTimeoutMs)}`);
  });

  test('has no more than its share of the time', () => {
    const driver = drive({ call: { headersTimeoutMs: 1000, perTryTimeoutMs: 300 } });
    expect(driver.last.call.headersTimeoutMs).toBe(300);
    driver.last.fail(reasons.upstreamTimeout);
    driver.context.timers.advance(backoff);
    expect(driver.last.call.headersTimeoutMs).toBe(300);
  });

  test('is not made where the time would be over before it began', () => {
    const driver = drive({ settings: { backoffBaseMs: 250 }, call: { headersTimeoutMs: 1 } });
    driver.last.fail();
    expect(driver.response.events).toEqual(['reset connect-failure']);
  });

  test('is not made after the head of an answer went out', () => {
    const driver = drive();
    driver.last.response.head(buildResponseHead({ status: 200, bodyLength: 10 }), false);
    driver.last.response.data(...bytes('hell'), false);
    driver.last.fail(reasons.upstreamReset);
    expect(driver.response.events).toEqual(['head 200', 'data "hell"', 'reset upstream-reset']);
    expect(driver.attempts).toHaveLength(1);
  });

  test('of an inner hop is made only for connect failures', () => {
    const headers = { 'x-remora-attempt': '2' };
    const statuses = drive({ headers });
    statuses.last.answer(503);
    expect(statuses.response.events).toEqual(['head 503 end']);
    const connects = drive({ headers });
    connects.last.fail();
    connects.context.timers.advance(backoff);
    expect(connects.attempts).toHaveLength(2);
  });

  test('header from outside of a gateway is not believed, and removed', () => {
    const driver = drive({ headers: { 'x-remora-attempt': '2' }, step: { side: 'gateway' } });
    expect(driver.last.lines.join()).not.toContain('x-remora-attempt');
    driver.last.answer(503);
    driver.context.timers.advance(backoff);
    expect(driver.attempts).toHaveLength(2);
  });

  test('whose answer is dropped is read to its end where it is short, and cancelled where it is long', () => {
    const short = drive();
    short.last.response.head(buildResponseHead({ status: 503, bodyLength: 100 }), false);
    expect(short.last.source.stopped).toBeNull();
    expect(short.last.response.data(...bytes('x'), false)).toBe(true);
    const long = drive();
    long.last.response.head(buildResponseHead({ status: 503, bodyLength: -1 }), false);
    expect(long.last.source.stopped).not.toBeNull();
    expect(long.response.events).toEqual([]);
  });
});

describe('the request body', () => {
  const put = { method: 'PUT', bodyLength: 8 };

  test('is sent again to a further attempt, and goes on where the client is', async () => {
    const driver = drive(put);
    driver.last.call.body.resume();
    expect(driver.body.resumes).toBe(1);
    expect(driver.request.data(...bytes('abcd'), false)).toBe(true);
    driver.last.fail(reasons.upstreamReset);
    driver.context.timers.advance(backoff);
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "abcd"']);
    expect(driver.body.resumes).toBe(2);
    driver.request.data(...bytes('efgh'), true);
    expect(driver.last.bodySink.text).toBe('abcdefgh');
    expect(driver.last.bodySink.ended).toBe(true);
    driver.last.answer(200);
    expect(driver.response.events).toEqual(['head 200 end']);
  });

  test('that had ended is ended again', async () => {
    const driver = drive(put);
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcdefgh'), true);
    driver.last.answer(503);
    driver.context.timers.advance(backoff);
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "abcdefgh" end']);
    expect(driver.body.resumes).toBe(1);
  });

  test('of a POST that an HTTP/2 instance refused is sent again, without the budget\'s leave', async () => {
    const driver = drive({ method: 'POST', bodyLength: 8, call: { refusable: true }, settings: { onRefusedStream: false, budgetRatio: 0, budgetMinPerSecond: 0 } });
    driver.last.call.endpoint = 'payments-1';
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcdefgh'), true);
    driver.last.fail(reasons.refusedStream);
    driver.context.timers.advance(backoff);
    expect(driver.last.call).toMatchObject({ attempt: 2, avoid: ['payments-1'] });
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "abcdefgh" end']);
    expect(driver.context.counts).toMatchObject(new Map([['retry_repeated', 1]]));
  });

  test('of a POST to an instance that cannot refuse is not kept', () => {
    const driver = drive({ method: 'POST', bodyLength: 8, settings: { onReset: true } });
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcdefgh'), true);
    driver.last.fail(reasons.refusedStream);
    expect(driver.response.events).toEqual(['reset refused-stream']);
  });

  test('of a gRPC call is sent again on a code of the list', async () => {
    const driver = drive({ method: 'POST', headers: { 'content-type': 'application/grpc' }, bodyLength: -1 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('message'), true);
    driver.last.answer(200, { 'grpc-status': '14' });
    driver.context.timers.advance(backoff);
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "message" end']);
  });

  test('without bytes is ended again', async () => {
    const driver = drive({ method: 'POST', bodyLength: 0 });
    driver.last.call.body.resume();
    driver.request.data(...bytes(''), true);
    driver.last.fail(reasons.connectFailure);
    driver.context.timers.advance(backoff);
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "" end']);
  });

  test('that comes while no attempt takes it is held for the next', async () => {
    const driver = drive(put);
    driver.last.call.body.resume();
    driver.last.fail(reasons.upstreamReset);
    expect(driver.request.data(...bytes('abcd'), false)).toBe(false);
    driver.context.timers.advance(backoff);
    expect(driver.last.bodySink.events).toEqual([]);
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "abcd"']);
  });

  test('of a method that is not idempotent forbids a further attempt once bytes were sent', () => {
    const driver = drive({ method: 'POST', bodyLength: 8 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcd'), false);
    driver.last.fail(reasons.connectFailure);
    expect(driver.response.events).toEqual(['reset connect-failure']);
  });

  test('beyond the replay buffer forbids a further attempt', () => {
    const driver = drive({ method: 'PUT', bodyLength: -1 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('x'.repeat(40)), false);
    driver.request.data(...bytes('x'.repeat(40)), false);
    driver.last.fail(reasons.upstreamReset);
    expect(driver.response.events).toEqual(['reset upstream-reset']);
  });

  test('waits for an attempt that takes it slowly', async () => {
    const driver = drive(put);
    driver.last.call.body.resume();
    driver.request.data(...bytes('ab'), false);
    driver.request.data(...bytes('cd'), false);
    driver.last.fail(reasons.upstreamReset);
    driver.context.timers.advance(backoff);
    driver.last.bodySink.takes = false;
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "ab"']);
    driver.last.bodySink.takes = true;
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "ab"', 'data "cd"']);
    expect(driver.body.resumes).toBe(2);
  });

  test('that an attempt stopped is only stopped when its answer stands', () => {
    const dropped = drive(put);
    dropped.last.call.body.stop(reasons.downstreamReset);
    expect(dropped.body.stopped).toBeNull();
    dropped.last.answer(503);
    dropped.context.timers.advance(backoff);
    dropped.last.call.body.stop(reasons.downstreamReset);
    dropped.last.answer(200);
    expect(dropped.body.stopped).toBe(reasons.downstreamReset);
  });

  test('trailers are sent again', async () => {
    const driver = drive({ method: 'PUT', bodyLength: -1 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('ab'), false);
    driver.request.trailers(buildResponseHead({ status: 0, headers: { checksum: '1' } }));
    driver.last.answer(503);
    driver.context.timers.advance(backoff);
    driver.last.call.body.resume();
    await Promise.resolve();
    expect(driver.last.bodySink.events).toEqual(['data "ab"', 'trailers checksum: 1']);
  });
});

describe('the end of a call', () => {
  test('between attempts: no further one is made', () => {
    const byClient = drive();
    byClient.last.fail();
    byClient.request.reset(reasons.downstreamReset);
    byClient.context.timers.advance(backoff);
    expect(byClient.attempts).toHaveLength(1);
    const byToken = drive();
    byToken.last.fail();
    byToken.x.token += 1;
    byToken.context.timers.advance(backoff);
    expect(byToken.attempts).toHaveLength(1);
  });

  test('by the consumer of the answer cancels the attempt', () => {
    const driver = drive();
    driver.response.bound?.stop(reasons.downstreamReset);
    expect(driver.last.source.stopped).toBe(reasons.downstreamReset);
    driver.last.fail(reasons.connectFailure);
    expect(driver.attempts).toHaveLength(1);
  });
});

test('the budget of a destination is shared and kept over snapshots', () => {
  const context = new TestFilterContext('retry', { side: 'outbound', scope: 'outbound/payments/' });
  let attempts = 0;
  for (let i = 0; i < 37; i += 1) {
    const driver = drive({ context, settings: { retries: 1, budgetRatio: 0 } });
    driver.last.fail();
    context.timers.advance(1);
    driver.request.reset(reasons.downstreamReset);
    attempts += driver.response.lastReset === null ? 1 : 0;
  }
  expect(attempts).toBe(30);
  expect(context.counts.get('retry_budget_exhausted')).toBe(7);
});

test('without retries the only attempt has its share of the time', () => {
  const driver = drive({ settings: { retries: 0 }, call: { headersTimeoutMs: 1000, perTryTimeoutMs: 200 } });
  expect(driver.last.call.headersTimeoutMs).toBe(200);
  driver.last.fail();
  expect(driver.response.events).toEqual(['reset connect-failure']);
});

describe('hops that retry do not multiply', () => {
  test('what another hop has given up is not tried again, and the one before is told', () => {
    const driver = drive();
    driver.last.answer(503, { 'x-remora-retry': 'spent' });
    expect(driver.response.events).toEqual(['head 503 end']);
    expect(driver.context.hops.isSpent(driver.x, 0)).toBe(true);
    expect(driver.context.counts.get('retry_spent')).toBe(1);
  });

  test.each([
    { name: 'all attempts were made', settings: { retries: 1 } },
    { name: 'the budget denies one', settings: { budgetRatio: 0, budgetMinPerSecond: 0 } },
    { name: 'the time is over', call: { headersTimeoutMs: 1 } },
  ])('the failure of a call is told to the hop before where $name', (scene) => {
    const driver = drive(scene);
    for (let i = 0; i < 3 && driver.response.lastHead === null; i += 1) {
      driver.last.answer(503);
      driver.context.timers.advance(backoff);
    }
    expect(driver.context.hops.isSpent(driver.x, driver.context.clock.monotonicMs())).toBe(true);
  });

  test.each([
    { name: 'it succeeds', scene: {}, status: 200 },
    { name: 'it would never have been tried again', scene: { method: 'POST' }, status: 503 },
    { name: 'the guard is off', scene: { settings: { retries: 1, guarded: false } }, status: 503 },
  ])('nothing is told where $name', ({ scene, status }) => {
    const driver = drive(scene);
    for (let i = 0; i < 3 && driver.response.lastHead === null; i += 1) {
      driver.last.answer(status);
      driver.context.timers.advance(backoff);
    }
    expect(driver.context.hops.isSpent(driver.x, driver.context.clock.monotonicMs())).toBe(false);
  });

  test('a call for a request that came in as a retry is not tried again, though its app does not say so', () => {
    const context = new TestFilterContext('retry', { side: 'outbound', scope: 'outbound/payments/' });
    const driver = drive({ context });
    context.hops.noteRetry(driver.x, context.clock.monotonicMs());
    driver.last.answer(503);
    expect(driver.response.events).toEqual(['head 503 end']);
    const connects = drive({ context });
    connects.last.fail();
    context.timers.advance(backoff);
    expect(connects.attempts).toHaveLength(2);
  });

  test('without the guard hops retry as if they were alone', () => {
    const driver = drive({ settings: { guarded: false }, headers: { 'x-remora-attempt': '2' } });
    driver.last.answer(503, { 'x-remora-retry': 'spent' });
    driver.context.timers.advance(backoff);
    expect(driver.attempts).toHaveLength(2);
  });
});

describe('the budget', () => {
  const scope = (route: string): string => `outbound/web/to/payments/${route}`;

  test('is one for all Routes to a destination, and all threads', () => {
    const memories = new Map<string, { buffer: SharedArrayBuffer }>();
    const shared = (key: string, _shape: string, bytes: number): { buffer: SharedArrayBuffer } => {
      const known = memories.get(key) ?? { buffer: new SharedArrayBuffer(bytes) };
      memories.set(key, known);
      return known;
    };
    const contexts = ['', 'slow', ''].map((route) => new TestFilterContext('retry', { side: 'outbound', scope: scope(route), shared }));
    let granted = 0;
    for (let i = 0; i < 60; i += 1) {
      const driver = drive({ context: contexts[i % 3] as TestFilterContext, settings: { budgetRatio: 0 } });
      driver.last.fail();
      granted += driver.response.lastReset === null ? 1 : 0;
    }
    expect(granted).toBe(30);
    expect([...memories.keys()].sort()).toEqual(['hopNotes', 'retryBudget/payments']);
  });

  test('tells that it is exhausted, once, with its figures', () => {
    const context = new TestFilterContext('retry', { side: 'outbound', scope: scope('') });
    for (let i = 0; i < 20; i += 1) drive({ context, settings: { budgetMinPerSecond: 0 } }).last.fail();
    expect(context.events).toEqual([{
      kind: 'retry', event: 'exhausted', service: 'payments', host: '', pointer: '/budget', untilMs: expect.any(Number),
      detail: '0 further attempts for 1 requests in a second; 20 % and 0 per second are allowed',
    }]);
    expect(context.counts.get('retry_budget_exhausted')).toBe(16);
  });

  test('is said to be there again by the first request ten seconds after the last denial', () => {
    const context = new TestFilterContext('retry', { side: 'outbound', scope: scope('') });
    const settings = { budgetMinPerSecond: 0 };
    drive({ context, settings }).last.fail();
    expect(context.events).toMatchObject([{ event: 'exhausted', untilMs: context.clock.monotonicMs() + 40_000 }]);
    context.clock.advance(10_000);
    drive({ context, settings });
    expect(context.events).toHaveLength(1);
    context.clock.advance(2);
    drive({ context, settings });
    drive({ context, settings });
    expect(context.events.slice(1)).toMatchObject([{ kind: 'retry', event: 'replenished', service: 'payments', untilMs: 0 }]);
  });

  test('is given to the layers inside, even where nothing is tried again', () => {
    expect(drive({ settings: { retries: 0 } }).last.call.budget?.take(20_000)).toBe(true);
    expect(drive().last.call.budget?.take(20_000)).toBe(true);
  });
});

test.each([
  [{ retries: 0 }, []],
  [{ retries: 1, retryOn: [503] }, []],
  [{ retryOn: [503] }, []],
  [{ retries: 0, retryOn: [503] }, ['/retryOn contradiction']],
  [{ retries: 0, retriableHeaders: ['x-retry'] }, ['/retriableHeaders contradiction']],
])('one policy that writes %j', (section, expected) => {
  expect(retryAuthoring.checkWritten?.(section).map(({ pointer, code }) => `${pointer} ${code}`)).toEqual(expected);
});
