import type { JsonObject } from '@remora/core/canonical-json';
import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import type { Call } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import { DrivenDetours } from '@remora/testing/driven-detours';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { describe, expect, test } from 'vitest';
import { fallbackAuthoring } from './compile.ts';
import { fallbackRuntime } from './filter.ts';

testKindCases(import.meta.dirname, fallbackAuthoring, fallbackRuntime);

interface Scene {
  readonly section: JsonObject;
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Record<string, string>;
  readonly bodyLength?: number;
  readonly call?: Partial<Call>;
  readonly context?: TestFilterContext;
}

interface Driver extends LayerDriver {
  readonly context: TestFilterContext;
  readonly elsewhere: DrivenDetours;
}

function drive(scene: Scene): Driver {
  const context = scene.context ?? makeContext();
  const { body } = fallbackAuthoring.compile(effectiveSection(fallbackAuthoring, scene.section));
  const layer = fallbackRuntime.layer?.(fallbackRuntime.decode(body), context);
  if (!layer) throw new Error('fallback is a layer');
  const request = { method: scene.method ?? 'GET', authority: 'payments', target: scene.target ?? '/rates', headers: scene.headers ?? {}, bodyLength: scene.bodyLength ?? 0 };
  return Object.assign(new LayerDriver(layer, context, { request }, scene.call), { context, elsewhere: context.detours as DrivenDetours });
}

function makeContext(): TestFilterContext {
  return new TestFilterContext('fallback', { side: 'outbound', scope: 'outbound/web/to/payments/', detours: new DrivenDetours() });
}

function bytes(text: string): [Uint8Array, number, number] {
  return [Buffer.from(text), 0, text.length];
}

function linesOf(driver: Driver): string[] {
  return driver.response.lastHead === null ? [] : headLines(driver.response.lastHead).filter((line) => !line.startsWith('date:'));
}

const answer = { answer: { body: 'later', headers: { 'x-why': '${reason.code}' } } };
const elsewhere = { to: { service: 'payments-b' } };
const both = { ...elsewhere, ...answer };

describe('a fixed answer', () => {
  test('stands in for a call that failed, says so, and keeps the reason for the log', () => {
    const driver = drive({ section: answer });
    driver.last.fail(reasons.connectFailure);
    expect(driver.response.events).toEqual(['head 200', 'data "later" end']);
    expect(linesOf(driver)).toEqual(['content-type: text/plain; charset=utf-8', 'x-why: connect-failure', 'x-remora-fallback: answer', 'x-remora-origin: remora']);
    expect([driver.x.fallback, driver.x.refusal?.reason.code, driver.x.refusal?.kind]).toEqual(['answer', 'connect-failure', '']);
    expect(driver.context.counts).toEqual(new Map([['fallback_answered', 1]]));
  });

  test('keeps the limit on time that ended the call', () => {
    const driver = drive({ section: answer });
    driver.x.limit = { pointer: '/request', detail: 'the limit of 15000 ms has passed' };
    driver.last.fail(reasons.upstreamTimeout);
    expect(driver.x.refusal).toMatchObject({ reason: reasons.upstreamTimeout, kind: 'timeout', pointer: '/request', detail: 'the limit of 15000 ms has passed' });
  });

  test('stands in for an answer that is a failure', () => {
    const driver = drive({ section: answer });
    driver.last.answer(503, {}, 'sorry');
    expect(driver.response.events).toEqual(['head 200', 'data "later" end']);
    expect(driver.x.refusal).toMatchObject({ reason: { code: 'destination-failed' }, kind: 'fallback', pointer: '/when' });
    expect(driver.last.source.stopped).toBeNull();
  });

  test('does without the rest of a long failure', () => {
    const driver = drive({ section: answer });
    driver.last.response.head(buildResponseHead({ status: 503, bodyLength: -1 }), false);
    expect(driver.last.source.stopped).not.toBeNull();
    expect(driver.response.events).toEqual(['head 200', 'data "later" end']);
  });

  test.each([
    { name: 'a status that when does not name', status: 500 },
    { name: 'a good answer', status: 200 },
  ])('leaves $name as it is', ({ status }) => {
    const driver = drive({ section: answer });
    driver.last.response.info(buildResponseHead({ status: 103 }));
    driver.last.answer(status, {}, 'mine');
    expect(driver.response.events).toEqual(['info 103', `head ${status}`, 'data "mine" end']);
    expect([driver.x.fallback, driver.x.refusal]).toEqual(['', null]);
  });

  test.each([
    { name: 'the client is gone', reason: reasons.downstreamReset, when: ['failure'] },
    { name: 'the reason is not among those of when', reason: reasons.overflow, when: ['connect-failure', 503] },
  ])('is not made where $name', ({ reason, when }) => {
    const driver = drive({ section: { ...answer, when } });
    driver.last.fail(reason);
    expect(driver.response.events).toEqual([`reset ${reason.code}`]);
  });

  test('is not made once a head has gone out', () => {
    const driver = drive({ section: answer });
    driver.last.response.head(buildResponseHead({ status: 200, bodyLength: 10 }), false);
    driver.last.response.data(...bytes('half'), false);
    driver.last.fail(reasons.upstreamReset);
    expect(driver.response.events).toEqual(['head 200', 'data "half"', 'reset upstream-reset']);
  });

  test('passes trailers of a good answer through', () => {
    const driver = drive({ section: answer });
    driver.last.response.head(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    driver.last.response.trailers(buildResponseHead({ status: 0, headers: { 'grpc-status': '0' } }));
    expect(driver.response.events).toEqual(['head 200', 'trailers grpc-status: 0']);
  });

  test('of HEAD and of 204 has no body', () => {
    const head = drive({ section: answer, method: 'HEAD' });
    head.last.fail();
    expect(head.response.events).toEqual(['head 200 end']);
    const empty = drive({ section: { answer: { status: 204 } } });
    empty.last.fail();
    expect(empty.response.events).toEqual(['head 204 end']);
  });

  test('waits for a client that reads slowly', async () => {
    const driver = drive({ section: { answer: { body: 'x'.repeat(16_000) } } });
    driver.response.takes = false;
    driver.last.fail();
    expect(driver.response.text).toHaveLength(16_000);
    driver.response.bound?.resume();
    await Promise.resolve();
    expect(driver.response.ended).toBe(true);
  });

  test('tells the client that the rest of its body is not wanted', () => {
    const driver = drive({ section: answer, method: 'POST', bodyLength: 100 });
    driver.last.fail();
    expect(driver.body.stopped).toBe(reasons.upstreamReset);
  });

  test('cannot be made to say what a client wrote between the lines', () => {
    const driver = drive({ section: { answer: { headers: { 'x-q': '${query.q}' } } }, target: '/?q=a%0d%0aset-cookie:%20x' });
    driver.last.fail();
    expect(linesOf(driver)).toContain('x-q: a%0D%0Aset-cookie: x');
  });
});

describe('gRPC', () => {
  const grpc = { method: 'POST', headers: { 'content-type': 'application/grpc' }, bodyLength: -1 };

  test('is answered with its own status', () => {
    const driver = drive({ ...grpc, section: { when: ['unavailable'], answer: { grpcStatus: 9, body: 'try later' } } });
    driver.last.answer(200, { 'grpc-status': '14' });
    expect(driver.response.events).toEqual(['head 200 end']);
    expect(linesOf(driver)).toEqual(expect.arrayContaining(['content-type: application/grpc', 'grpc-status: 9', 'grpc-message: try%20later']));
  });

  test('is not answered with what is no gRPC', () => {
    const driver = drive({ ...grpc, section: { ...answer, when: ['failure', 'unavailable'] } });
    driver.last.answer(200, { 'grpc-status': '14' });
    expect(linesOf(driver)).toEqual(['grpc-status: 14']);
    expect(driver.context.counts.get('fallback_unanswered')).toBe(1);
  });
});

describe('another destination', () => {
  test('gets the call, with limits of its own, and its answer says so', () => {
    const driver = drive({ section: both, headers: { 'x-remora-deadline': '15000' }, call: { headersTimeoutMs: 15_000, perTryTimeoutMs: 300 } });
    driver.last.fail(reasons.connectFailure);
    const { call, to } = driver.elsewhere.last;
    expect(to).toMatchObject({ service: 'payments-b' });
    expect(call).toMatchObject({ detour: true, attempt: 1, headersTimeoutMs: 0, perTryTimeoutMs: 0, avoid: [], host: null });
    expect(driver.elsewhere.last.lines.join()).not.toContain('x-remora-deadline');
    driver.elsewhere.last.answer(200, {}, 'theirs');
    expect(driver.response.events).toEqual(['head 200', 'data "theirs" end']);
    expect(linesOf(driver)).toContain('x-remora-fallback: service');
    expect([driver.x.fallback, driver.x.refusal?.reason.code]).toEqual(['service payments-b', 'connect-failure']);
  });

  test('is not given more time than the caller said that it waits', () => {
    const driver = drive({ section: both, headers: { 'x-remora-deadline': '900' } });
    driver.x.answerBy = driver.x.startedAt + 900;
    driver.last.fail();
    expect(driver.elsewhere.last.lines).toContain('x-remora-deadline: 900');
  });

  test('that fails too gives way to what comes after it', () => {
    for (const fail of [(driver: Driver) => driver.elsewhere.last.fail(), (driver: Driver) => driver.elsewhere.last.answer(502)]) {
      const driver = drive({ section: both });
      driver.last.fail(reasons.upstreamReset);
      fail(driver);
      expect(driver.response.events).toEqual(['head 200', 'data "later" end']);
      expect(driver.x.refusal?.reason.code).toBe('upstream-reset');
    }
  });

  test('that fails last is what the client sees', () => {
    const driver = drive({ section: elsewhere });
    driver.last.fail(reasons.upstreamReset);
    driver.elsewhere.last.answer(502, {}, 'sorry');
    expect(driver.response.events).toEqual(['head 502', 'data "sorry" end']);
  });

  test('gets the body from its beginning, and then from the client', async () => {
    const driver = drive({ section: both, method: 'POST', bodyLength: 8 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcd'), false);
    driver.last.fail(reasons.upstreamReset);
    driver.elsewhere.last.call.body.resume();
    await Promise.resolve();
    expect(driver.elsewhere.last.bodySink.events).toEqual(['data "abcd"']);
    driver.request.data(...bytes('efgh'), true);
    expect(driver.elsewhere.last.bodySink.text).toBe('abcdefgh');
    expect(driver.elsewhere.last.bodySink.ended).toBe(true);
    driver.elsewhere.last.answer(200);
    expect(driver.response.events).toEqual(['head 200 end']);
  });

  test('gets a body that the first stopped reading', async () => {
    const driver = drive({ section: both, method: 'POST', bodyLength: 8 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcd'), false);
    driver.last.call.body.stop(reasons.upstreamReset);
    expect(driver.body.stopped).toBeNull();
    driver.request.data(...bytes('efgh'), true);
    driver.last.answer(503);
    driver.elsewhere.last.call.body.resume();
    await Promise.resolve();
    expect(driver.elsewhere.last.bodySink.text).toBe('abcdefgh');
  });

  test('is not asked where the body is longer than what is kept of it', () => {
    const driver = drive({ section: { to: { service: 'payments-b', replayBuffer: '4B' }, ...answer }, method: 'POST', bodyLength: 8 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcdefgh'), true);
    driver.last.answer(503);
    expect(driver.elsewhere.calls).toHaveLength(0);
    expect(driver.response.events).toEqual(['head 200', 'data "later" end']);
  });

  test('is not asked for a call that stands in for another already, nor for a tunnel', () => {
    const driver = drive({ section: both, call: { detour: true } });
    driver.last.fail();
    expect(driver.response.events).toEqual(['reset connect-failure']);
  });

  test('falls silent when the client goes', () => {
    const driver = drive({ section: both });
    driver.last.fail();
    driver.response.bound?.stop(reasons.downstreamReset);
    expect(driver.elsewhere.last.source.stopped).toBe(reasons.downstreamReset);
    driver.elsewhere.last.fail();
    expect(driver.x.fallback).toBe('service payments-b');
    expect(driver.response.text).toBe('');
  });
});

describe('the last good answer', () => {
  const section = { stale: { keyHeaders: ['accept'], maxAge: '1m' } };

  function remember(context: TestFilterContext, scene: Partial<Scene> = {}, headers: Record<string, string> = {}, body = 'good'): void {
    drive({ section, context, ...scene }).last.answer(200, { 'content-type': 'text/plain', ...headers }, body);
  }

  function recall(context: TestFilterContext, scene: Partial<Scene> = {}): Driver {
    const driver = drive({ section, context, ...scene });
    driver.last.fail();
    return driver;
  }

  test('is told with its age', () => {
    const context = makeContext();
    remember(context, {}, { age: '100', connection: 'close' });
    context.clock.advance(5500);
    const driver = recall(context);
    expect(driver.response.events).toEqual(['head 200', 'data "good" end']);
    expect(linesOf(driver)).toEqual(['content-type: text/plain', 'age: 5', 'x-remora-fallback: stale', 'x-remora-origin: remora']);
    expect(driver.x.fallback).toBe('stale');
  });

  test('is as old as it may be and no older', () => {
    const context = makeContext();
    remember(context);
    context.clock.advance(60_001);
    expect(recall(context).response.events).toEqual(['reset connect-failure']);
  });

  test.each<{ name: string; scene?: Partial<Scene>; headers?: Record<string, string>; body?: string }>([
    { name: 'another target', scene: { target: '/rates?a=1' } },
    { name: 'another value of a key header', scene: { headers: { accept: 'text/html' } } },
    { name: 'authorization', scene: { headers: { authorization: 'Bearer x' } } },
    { name: 'cookies', scene: { headers: { cookie: 'a=b' } } },
    { name: 'a method that does something', scene: { method: 'POST' } },
    { name: 'a part of it', scene: { headers: { range: 'bytes=0-1' } } },
    { name: 'no-store', headers: { 'cache-control': 'no-store' } },
    { name: 'private', headers: { 'cache-control': 'Private, max-age=1' } },
    { name: 'Vary beyond the key', headers: { vary: 'accept, accept-encoding' } },
    { name: 'cookies set', headers: { 'set-cookie': 'a=b' } },
    { name: 'a body beyond the bound', body: 'x'.repeat(300_000) },
  ])('is not that of $name', ({ scene, headers, body }) => {
    const context = makeContext();
    remember(context, scene, headers, body);
    expect(recall(context).response.events).toEqual(['reset connect-failure']);
  });

  test('of requests with authorization is kept where said so, for the same authorization alone', () => {
    const context = makeContext();
    const authorized = { section: { stale: { authorized: true } } };
    remember(context, { ...authorized, headers: { authorization: 'Bearer mine' } });
    expect(recall(context, { ...authorized, headers: { authorization: 'Bearer mine' } }).response.text).toBe('good');
    expect(recall(context, { ...authorized, headers: { authorization: 'Bearer theirs' } }).response.events).toEqual(['reset connect-failure']);
    expect(recall(context, authorized).response.events).toEqual(['reset connect-failure']);
  });

  test('of a client whose credentials were proved by what it does not send on is kept for that client alone', () => {
    const context = makeContext();
    const as = (section_: JsonObject, subject: string): Driver => {
      const driver = drive({ section: section_, context });
      driver.x.identity = new RequestIdentity();
      driver.x.identity.looks('apiKey');
      if (subject !== '') driver.x.identity.finds('apiKey', { consumer: null, subject, issuer: '', claims: null, scopes: [] });
      return driver;
    };
    as(section, 'alice').last.answer(200, {}, 'hers');
    expect(recall(context).response.events).toEqual(['reset connect-failure']);
    as(section, '').last.answer(200, {}, 'everybody\'s');
    expect(recall(context).response.text).toBe('everybody\'s');
    const authorized = { stale: { authorized: true } };
    as(authorized, 'alice').last.answer(200, {}, 'hers');
    const [alice, bob] = [as(authorized, 'alice'), as(authorized, 'bob')];
    for (const { last } of [alice, bob]) last.fail();
    expect([alice.response.text, bob.response.events]).toEqual(['hers', ['reset connect-failure']]);
  });

  test('is not half of one', () => {
    const context = makeContext();
    const driver = drive({ section, context });
    driver.last.response.head(buildResponseHead({ status: 200, bodyLength: 8 }), false);
    driver.last.response.data(...bytes('half'), false);
    driver.last.fail(reasons.upstreamReset);
    expect(recall(context).response.events).toEqual(['reset connect-failure']);
  });

  test('is renewed once a second, and outlives a snapshot', () => {
    const context = makeContext();
    remember(context, {}, {}, 'one');
    remember(context, {}, {}, 'two');
    expect(recall(context).response.text).toBe('one');
    context.clock.advance(1001);
    remember(context, {}, {}, 'three');
    expect(recall(context).response.text).toBe('three');
    expect(context.counts.get('fallback_stored')).toBe(2);
  });

  test('gives way to newer ones within its bounds', () => {
    const context = makeContext();
    const few = { section: { stale: { entries: 2 } } };
    for (const target of ['/a', '/b', '/c']) remember(context, { ...few, target }, {}, target);
    expect(['/a', '/b', '/c'].map((target) => recall(context, { ...few, target }).response.text)).toEqual(['', '/b', '/c']);
  });
});
