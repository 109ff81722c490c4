import type { JsonObject } from '@remora/core/canonical-json';
import { HOLD, WAIT, type Exchange, type HeldBody } from '@remora/policy-kit/exchange';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { heldBody } from '@remora/testing/held-body';
import { testKindCases } from '@remora/testing/kind-cases';
import { buildResponseHead } from '@remora/http/head-builder';
import { describe, expect, test } from 'vitest';
import { externalAuthAuthoring } from './compile.ts';
import { externalAuthRuntime } from './filter.ts';
import { CheckRequest, CheckResponse, Question, Reply } from './gen/external-auth.ts';

testKindCases(import.meta.dirname, externalAuthAuthoring, externalAuthRuntime);

const grpc: JsonObject = { grpc: { address: 'opa.internal:9191' }, allowPrivateAddresses: true };
const http: JsonObject = { http: { url: 'https://auth.example/check' } };
const step: ExchangeStep = { request: { method: 'POST', authority: 'api.example', target: '/orders?x=1', headers: { authorization: 'Bearer t', cookie: 'a=1', 'x-user': 'root', 'X_User': 'root2', connection: 'close', 'x-tenant': ['a', 'b'] } }, connection: { principal: 'spiffe://m/service/web' } };

function build(section: JsonObject, shadow = false) {
  const context = new TestFilterContext('externalAuth', { shadow });
  const filter = externalAuthRuntime.edge?.(externalAuthRuntime.decode(externalAuthAuthoring.compile(effectiveSection(externalAuthAuthoring, section)).body), context);
  if (!filter) throw new Error('it asks');
  return { context, filter };
}

/** Asks, lets the authorizer answer, and says what became of it. */
function ask(section: JsonObject, reply: Partial<Reply> | null, given = build(section), body: HeldBody = heldBody('')): { x: Exchange; verdict: string; question: Question | null; response: string[]; proceeded: number } {
  const { context, filter } = given;
  const x = makeExchange(step, { clock: context.clock, slotCount: context.slotCount });
  let proceeded = 0;
  x.proceed = (token) => void (token === x.token && (proceeded += 1));
  const before = context.asked.length;
  const first = filter.request?.(x);
  const verdict = first === HOLD ? filter.requestHeld?.(x, body) : first;
  const asked = context.asked[before];
  if (verdict === WAIT) asked?.answered(reply === null ? null : Reply.encode(Reply.fromPartial(reply)).finish());
  const response = buildResponseHead({ status: 200 });
  filter.response?.(x, response);
  const failure = x.identity?.failure ?? null;
  return { x, proceeded, response: headLines(response), question: asked === undefined ? null : Question.decode(asked.body), verdict: failure !== null ? `${failure.reason.code} ${failure.status}` : (x.identity?.proved ?? 0) > 0 ? 'proved' : 'nothing' };
}

const checked = (response: object): Partial<Reply> => ({ body: Buffer.from(CheckResponse.encode(CheckResponse.fromPartial(response)).finish()) });
const ok = { status: { code: 0 } };

describe('gRPC', () => {
  test('asks as Envoy does', () => {
    const { question } = ask({ ...grpc, context: { policy: 'orders' } }, checked(ok));
    expect(question).toMatchObject({ address: 'opa.internal:9191', tls: false, deadlineMs: 200, allowPrivateAddresses: true });
    const { attributes } = CheckRequest.decode(question?.body ?? new Uint8Array());
    expect(attributes).toMatchObject({
      source: { principal: 'spiffe://m/service/web', address: { socketAddress: { address: '192.0.2.10', portValue: 40_000 } } }, destination: { service: 'orders' }, contextExtensions: { policy: 'orders' },
      request: { http: { method: 'POST', path: '/orders?x=1', host: 'api.example', headers: { ':method': 'POST', authorization: 'Bearer t', 'x-tenant': 'a,b' } } },
    });
    expect(attributes?.request?.http?.headers).not.toHaveProperty('connection');
  });

  test.each<[string, object, string]>([
    ['an ok', ok, 'proved'],
    ['no status', {}, 'external-auth-failed 503'],
    ['another status', { status: { code: 7 } }, 'external-auth-denied 403'],
    ['a denial', { status: { code: 16 }, deniedResponse: { status: { code: 401 } } }, 'external-auth-denied 401'],
    ['an ok that is a denial', { ...ok, deniedResponse: { status: { code: 401 } } }, 'external-auth-denied 401'],
    ['a denial with 200', { status: { code: 7 }, deniedResponse: { status: { code: 200 } } }, 'external-auth-denied 403'],
    ['a denial that is an ok', { status: { code: 7 }, okResponse: { headers: [{ header: { key: 'x-a', value: '1' } }] } }, 'external-auth-denied 403'],
    ['more headers than anybody needs', { ...ok, okResponse: { headers: Array.from({ length: 70 }, () => ({ header: { key: 'x-a', value: '1' } })) } }, 'external-auth-failed 503'],
  ])('%s', (_title, response, expected) => {
    expect(ask(grpc, checked(response)).verdict).toBe(expected);
  });

  test('bytes that are no answer decide nothing', () => {
    expect(ask(grpc, { body: Buffer.from([0xff, 0xff, 0xff]) }).verdict).toBe('external-auth-failed 503');
    expect(ask(grpc, null).verdict).toBe('external-auth-failed 503');
  });

  test('edits headers, in every spelling; never the connection\'s, never ours', () => {
    const { x, response } = ask(grpc, checked({
      ...ok,
      okResponse: {
        headers: [
          { header: { key: 'X-User', value: 'alice' } }, { header: { key: 'x-tenant', value: 'c' }, append: { value: true } }, { header: { key: 'x-new', value: '1' }, appendAction: 1 }, { header: { key: 'x-none', value: '1' }, appendAction: 3 },
          ...['host', 'connection', 'transfer-encoding', 'content-length', 'x-remora-origin', 'x-forwarded-for', ':path', 'te', 'bad name'].map((key) => ({ header: { key, value: 'evil' } })),
          { header: { key: 'x-split', value: 'a\r\nx: y' } },
        ],
        headersToRemove: ['Authorization', 'host', 'connection'],
        responseHeadersToAdd: [{ header: { key: 'set-cookie', value: 's=1' } }, { header: { key: 'content-length', value: '0' } }],
      },
    }));
    expect(headLines(x.head).filter((line) => !line.startsWith('POST'))).toEqual(['host: api.example', 'cookie: a=1', 'connection: close', 'x-tenant: a', 'x-tenant: b', 'x-user: alice', 'x-tenant: c', 'x-new: 1']);
    expect(response).toEqual(['set-cookie: s=1']);
  });

  test('a denial is answered as the authorizer wants it', () => {
    const { x } = ask(grpc, checked({ status: { code: 7, message: 'quota' }, deniedResponse: { status: { code: 429 }, headers: [{ header: { key: 'Retry-After', value: '3' } }, { header: { key: 'content-type', value: 'text/html' } }, { header: { key: 'connection', value: 'x' } }], body: '<p>no</p>' } }));
    expect(x.identity?.failure).toMatchObject({ status: 429, contentType: 'text/html', detail: 'the authorizer denies it: quota' });
    expect(x.identity?.failure?.fields.map(({ name, value }) => `${name}: ${value}`)).toEqual(['retry-after: 3']);
    expect(Buffer.from(x.identity?.failure?.body ?? []).toString()).toBe('<p>no</p>');
  });
});

describe('HTTP', () => {
  test('tells the request as forward authentication does', () => {
    const { question } = ask({ ...http, requestHeaders: ['authorization', 'x-tenant'] }, { status: 200 });
    expect(question).toMatchObject({ url: 'https://auth.example/check' });
    expect(Object.fromEntries((question?.headers ?? []).map(({ name, value }) => [name, value]))).toEqual({
      authorization: 'Bearer t', 'x-tenant': 'a, b', 'x-forwarded-method': 'POST', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'api.example', 'x-forwarded-uri': '/orders?x=1', 'x-forwarded-for': '192.0.2.10', 'x-request-id': 'request-1',
    });
  });

  test('what only we say is not taken from the client, in any spelling', () => {
    const given = build(http);
    const x = makeExchange({ request: { ...step.request, headers: { x_forwarded_uri: '/public', 'X.Forwarded.For': '1.2.3.4', 'x_envoy_auth_partial_body': 'false', 'x-own': '1' } } }, { clock: given.context.clock, slotCount: given.context.slotCount });
    given.filter.request?.(x);
    expect(Question.decode(given.context.asked[0]?.body ?? new Uint8Array()).headers.map(({ name }) => name)).toEqual(['x-own', 'x-forwarded-method', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-uri', 'x-forwarded-for', 'x-request-id']);
  });

  test.each<[number, string]>([[200, 'proved'], [204, 'proved'], [302, 'external-auth-denied 302'], [401, 'external-auth-denied 401'], [403, 'external-auth-denied 403'], [500, 'external-auth-failed 503'], [503, 'external-auth-failed 503'], [100, 'external-auth-failed 503'], [0, 'external-auth-failed 503']])('status %i: %s', (status, expected) => {
    expect(ask(http, { status }).verdict).toBe(expected);
  });

  test('takes over what it may, and never what the client said under that name', () => {
    const section = { ...http, headersToUpstream: ['X-User', 'X-Role'] };
    expect(headLines(ask(section, { status: 200, headers: [{ name: 'x-user', value: 'alice' }, { name: 'x-other', value: '1' }] }).x.head)).toContain('x-user: alice');
    const silent = headLines(ask(section, { status: 200 }).x.head).join('\n');
    expect(silent).not.toMatch(/root/);
  });

  test('a redirect goes to the client with its place', () => {
    const { x } = ask(http, { status: 302, headers: [{ name: 'location', value: 'https://login.example/' }, { name: 'server', value: 'auth' }, { name: 'transfer-encoding', value: 'chunked' }] });
    expect(x.identity?.failure?.fields.map(({ name, value }) => `${name}: ${value}`)).toEqual(['location: https://login.example/']);
  });
});

describe('the body', () => {
  const json = '{"amount":5}';
  const checkOf = (question: Question | null) => CheckRequest.decode(question?.body ?? new Uint8Array()).attributes?.request?.http;
  const told = (question: Question | null, name: string): string | undefined => question?.headers.find((one) => one.name === name)?.value;

  test.each<[string, JsonObject, HeldBody, { body: string; raw: string; partial: string | undefined }]>([
    ['whole', {}, heldBody(json), { body: json, raw: '', partial: 'false' }],
    ['as bytes', { packAsBytes: true }, heldBody(json), { body: '', raw: json, partial: 'false' }],
    ['none', {}, heldBody(''), { body: '', raw: '', partial: undefined }],
    ['exactly as long as it may be', { maxBytes: '12B' }, heldBody(json), { body: json, raw: '', partial: 'false' }],
    ['its beginning', { maxBytes: '4B', allowPartial: true }, heldBody(json), { body: '{"am', raw: '', partial: 'true' }],
    ['its beginning, behind which nothing has come yet', { maxBytes: '12B', allowPartial: true }, heldBody(json, false), { body: json, raw: '', partial: 'true' }],
    ['no text', {}, heldBody(Uint8Array.of(0x61, 0xff, 0x62)), { body: 'a\ufffdb', raw: '', partial: 'false' }],
    ['a character cut in two', { maxBytes: '1B', allowPartial: true }, heldBody('é'), { body: '\ufffd', raw: '', partial: 'true' }],
    ['no text, as bytes', { packAsBytes: true }, heldBody(Buffer.from('aÿb', 'latin1')), { body: '', raw: 'aÿb', partial: 'false' }],
  ])('gRPC: %s', (_title, settings, body, expected) => {
    const { question, verdict } = ask({ ...grpc, body: { maxBytes: '64KiB', ...settings } }, checked(ok), undefined, body);
    const check = checkOf(question);
    expect({ body: Buffer.from(check?.body ?? []).toString(), raw: Buffer.from(check?.rawBody ?? []).toString('latin1'), partial: check?.headers['x-envoy-auth-partial-body'] }).toEqual(expected);
    expect(verdict).toBe('proved');
  });

  test.each<[string, JsonObject, HeldBody, { body: string; partial: string | undefined; type: string | undefined }]>([
    ['whole', {}, heldBody(json), { body: json, partial: 'false', type: 'application/json' }],
    ['none', {}, heldBody(''), { body: '', partial: undefined, type: undefined }],
    ['its beginning', { maxBytes: '4B', allowPartial: true }, heldBody(json), { body: '{"am', partial: 'true', type: 'application/json' }],
  ])('HTTP: %s, by POST', (_title, settings, body, expected) => {
    const given = build({ ...http, requestHeaders: ['authorization'], body: settings });
    const x = makeExchange({ request: { ...step.request, headers: { 'content-type': 'application/json', 'x-envoy-auth-partial-body': 'forged' } } }, { clock: given.context.clock, slotCount: given.context.slotCount });
    expect(given.filter.request?.(x)).toBe(HOLD);
    given.filter.requestHeld?.(x, body);
    const question = Question.decode(given.context.asked[0]?.body ?? new Uint8Array());
    expect({ body: Buffer.from(question.body).toString(), partial: told(question, 'x-envoy-auth-partial-body'), type: told(question, 'content-type') }).toEqual(expected);
    expect([question.post, told(question, 'x-forwarded-method')]).toEqual([true, 'POST']);
  });

  test('is not asked for where it is not told, and the client does not say that it was', () => {
    const { question } = ask(http, { status: 200 });
    expect([question?.post, question?.body.length]).toEqual([false, 0]);
    const { context, filter } = build(grpc);
    const x = makeExchange({ request: { ...step.request, headers: { 'x-envoy-auth-partial-body': 'false' } } }, { clock: context.clock, slotCount: context.slotCount });
    expect(filter.request?.(x)).toBe(WAIT);
    expect(CheckRequest.decode(Question.decode(context.asked[0]?.body ?? new Uint8Array()).body).attributes?.request?.http?.headers).not.toHaveProperty('x-envoy-auth-partial-body');
  });

  test('one that is too long is refused with 413, before it comes where that is known', () => {
    const given = build({ ...grpc, onFailure: 'allow', consumerHeader: 'x-tenant', body: { maxBytes: '4B' } });
    expect(ask({}, checked(ok), given, heldBody('12345', false))).toMatchObject({ verdict: 'external-auth-body-too-large 413', question: null });
    expect(ask({}, checked(ok), given, heldBody('1234')).verdict).toBe('proved');
    const x = makeExchange({ request: { ...step.request, bodyLength: 5 } }, { clock: given.context.clock, slotCount: given.context.slotCount });
    expect(given.filter.request?.(x)).toBeNull();
    expect(x.identity?.failure).toMatchObject({ status: 413, pointer: '/body/maxBytes' });
    // An exempt request passes all the same: without what only the authorizer may say.
    expect(headLines(x.head).join()).not.toMatch(/x-tenant/);
    expect(given.context.counts.get('externalAuth_too_large')).toBe(2);
  });

  test('asks for one byte more than it tells, to see that there is more; with allowPartial for no more than that', () => {
    expect(build({ ...grpc, body: {} }).filter.holdBytes).toBe(65_537);
    expect(build({ ...grpc, body: { maxBytes: '1KiB', allowPartial: true } }).filter.holdBytes).toBe(1_024);
  });

  test('decides with the key of the cache, whatever the key says', () => {
    const given = build({ ...grpc, body: { allowPartial: true, maxBytes: '3B' }, cache: { ttl: '5s', key: ['${request.path}'] } });
    const verdict = (content: string, complete: boolean, code: number): string => ask({}, checked({ status: { code } }), given, heldBody(content, complete)).verdict;
    expect([verdict('abc', true, 0), verdict('abd', true, 7), verdict('', true, 7), verdict('abc', false, 7)]).toEqual(['proved', 'external-auth-denied 403', 'external-auth-denied 403', 'external-auth-denied 403']);
    expect([verdict('abc', true, 7), verdict('abd', true, 0), verdict('abc', false, 0), verdict('abcde', true, 0)]).toEqual(['proved', 'external-auth-denied 403', 'external-auth-denied 403', 'external-auth-denied 403']);
    expect(given.context.asked).toHaveLength(4);
  });
});

describe('when nobody answers', () => {
  test('the deadline decides, and what comes later changes nothing', () => {
    const { context, filter } = build({ ...grpc, deadline: '50ms' });
    const x = makeExchange(step, { clock: context.clock, slotCount: context.slotCount });
    let proceeded = 0;
    x.proceed = (token) => {
      if (token === x.token) proceeded += 1;
      x.token += 1;
    };
    expect(filter.request?.(x)).toBe(WAIT);
    context.timers.advance(50);
    expect([proceeded, x.identity?.failure?.reason.code]).toEqual([1, 'external-auth-failed']);
    context.asked[0]?.answered(Reply.encode(Reply.fromPartial(checked(ok))).finish());
    expect([proceeded, x.identity?.proved]).toEqual([1, 0]);
  });

  test('onFailure: allow lets it in, counted', () => {
    const given = build({ ...grpc, onFailure: 'allow' });
    expect(ask({}, { failure: 'connect' }, given).verdict).toBe('proved');
    expect(given.context.counts.get('externalAuth_failed_open')).toBe(1);
    expect(ask({}, checked({ status: { code: 7 } }), given).verdict).toBe('external-auth-denied 403');
  });

  test('too many questions: as if nobody had answered', () => {
    const given = build(grpc);
    (given.context as { questions: unknown }).questions = { ask: () => false };
    expect(ask({}, null, given).verdict).toBe('external-auth-failed 503');
  });

  test('in shadow it asks, counts, and waits for nothing', () => {
    const { context, filter } = build(grpc, true);
    const x = makeExchange(step, { clock: context.clock, slotCount: context.slotCount });
    expect(filter.request?.(x)).toBeNull();
    context.asked[0]?.answered(Reply.encode(Reply.fromPartial(checked({ status: { code: 7 } }))).finish());
    expect(context.counts.get('externalAuth_shadow_denied')).toBe(1);
  });
});

test('in shadow it asks about the body that passed, and counts those that are too long', () => {
  const { context, filter } = build({ ...grpc, body: { maxBytes: '4B' } }, true);
  const x = makeExchange(step, { clock: context.clock, slotCount: context.slotCount });
  expect(filter.requestHeld?.(x, heldBody('abcd'))).toBeNull();
  context.asked[0]?.answered(Reply.encode(Reply.fromPartial(checked({ status: { code: 7 } }))).finish());
  expect(filter.requestHeld?.(x, heldBody('abcde'))).toBeNull();
  expect([context.asked.length, context.counts.get('externalAuth_shadow_denied')]).toEqual([1, 2]);
});

describe('the cache', () => {
  const cached = { ...grpc, cache: { ttl: '5s', key: ['${header.authorization}', '${request.path}'] } };

  test('keeps what was decided, for its time, and no failures', () => {
    const given = build(cached);
    ask({}, { failure: 'connect' }, given);
    ask({}, checked({ ...ok, okResponse: { headers: [{ header: { key: 'x-user', value: 'alice' } }] } }), given);
    expect(given.context.asked).toHaveLength(2);
    const { x, verdict } = ask({}, null, given);
    expect([verdict, headLines(x.head).includes('x-user: alice')]).toEqual(['proved', true]);
    expect(given.context.asked).toHaveLength(2);
    given.context.clock.advance(5_000);
    ask({}, checked({ status: { code: 7 } }), given);
    expect(given.context.asked).toHaveLength(3);
    expect(ask({}, null, given).verdict).toBe('external-auth-denied 403');
  });

  test('gives no cookie of one client to another', () => {
    for (const response of [{ ...ok, okResponse: { responseHeadersToAdd: [{ header: { key: 'Set-Cookie', value: 's=1' } }] } }, { status: { code: 7 }, deniedResponse: { status: { code: 302 }, headers: [{ header: { key: 'Set-Cookie', value: 's=1' } }] } }]) {
      const given = build(cached);
      for (let i = 0; i < 2; i += 1) ask({}, checked(response), given);
      expect(given.context.asked).toHaveLength(2);
    }
  });

  test('counts in shadow what it would have denied, known or not', () => {
    const given = build(cached, true);
    const x = () => makeExchange(step, { clock: given.context.clock, slotCount: given.context.slotCount });
    given.filter.request?.(x());
    given.context.asked[0]?.answered(Reply.encode(Reply.fromPartial(checked({ status: { code: 7 } }))).finish());
    const second = x();
    expect(given.filter.request?.(second)).toBeNull();
    expect([given.context.counts.get('externalAuth_shadow_denied'), given.context.counts.get('externalAuth_denied'), given.context.asked.length]).toEqual([2, undefined, 1]);
  });

  test('is bounded', () => {
    const given = build({ ...cached, cache: { ttl: '5s', key: ['${uuid}'], entries: 3 } });
    for (let i = 0; i < 20; i += 1) ask({}, checked(ok), given);
    expect(given.context.asked).toHaveLength(20);
  });
});
