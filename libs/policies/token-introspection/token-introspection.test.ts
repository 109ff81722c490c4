import type { JsonObject } from '@remora/core/canonical-json';
import { FactBooks } from '@remora/policy-kit/facts';
import type { RequestIdentity } from '@remora/policy-kit/request-identity';
import { decodeIntrospectionQuestion, encodeIntrospectionAnswer } from '@remora/policy-kit/tokens/introspection-question';
import { driveLater } from '@remora/testing/drive-later';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import { TestFilterContext, type TestContextOptions } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { describe, expect, test } from 'vitest';
import { tokenIntrospectionAuthoring } from './compile.ts';
import { tokenIntrospectionRuntime } from './filter.ts';

testKindCases(import.meta.dirname, tokenIntrospectionAuthoring, tokenIntrospectionRuntime);

class Rig {
  readonly context: TestFilterContext;
  readonly filter: ReturnType<NonNullable<typeof tokenIntrospectionRuntime.edge>> & object;
  /** What the endpoint says, by token; undefined: nothing. */
  answers: Readonly<Record<string, JsonObject>> = {};
  asked: string[] = [];

  constructor(section: JsonObject = {}, options: TestContextOptions = {}) {
    this.context = new TestFilterContext('tokenIntrospection', { factBooks: new FactBooks(), ...options });
    const whole = { endpoint: 'https://login.example/introspect', clientId: 'gateway', clientSecret: { secret: 'introspection' }, ...section };
    const filter = tokenIntrospectionRuntime.edge?.(tokenIntrospectionRuntime.decode(tokenIntrospectionAuthoring.compile(effectiveSection(tokenIntrospectionAuthoring, whole)).body), this.context);
    if (!filter) throw new Error('the section builds a filter');
    this.filter = filter;
  }

  /** The control thread answers what waits. */
  reply(): void {
    for (const { body, answered } of this.context.asked.splice(0)) {
      const { token } = decodeIntrospectionQuestion(body);
      this.asked.push(token);
      const claims = this.answers[token];
      answered(encodeIntrospectionAnswer(claims === undefined ? { claims: null, problem: 'timeout' } : { claims }));
    }
  }

  async ask(token: string | null, step: Partial<ExchangeStep['request']> = {}): Promise<RequestIdentity & { readonly lines: readonly string[] }> {
    const headers: [string, string][] = token === null ? [] : [['authorization', `Bearer ${token}`]];
    const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers, ...step } }, this.context);
    const driven = driveLater(this.filter, x);
    this.reply();
    expect(await driven).toBeNull();
    if (x.identity === null) throw new Error('it did not look');
    return Object.assign(x.identity, { lines: headLines(x.head) });
  }
}

const active = { active: true, sub: 'anna', aud: 'orders', scope: 'read write', client_id: 'mobile', iss: 'https://login.example' };

describe('a token that its issuer knows', () => {
  test('is found, and remembered for a while', async () => {
    const rig = new Rig({ audiences: ['orders'], scopes: ['read'] });
    rig.answers = { abc: active };
    for (let i = 0; i < 3; i++) expect(await rig.ask('abc')).toMatchObject({ failure: null, subject: 'anna', issuer: 'https://login.example', scopes: ['read', 'write'] });
    expect(rig.asked).toEqual(['abc']);
    rig.context.timers.advance(60_000);
    await rig.ask('abc');
    expect(rig.asked).toEqual(['abc', 'abc']);
  });

  test('is asked for once, whoever waits for it', async () => {
    const rig = new Rig();
    rig.answers = { abc: active };
    const xs = Array.from({ length: 5 }, () => makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers: [['authorization', 'Bearer abc']] } }, rig.context));
    const all = Promise.all(xs.map((x) => driveLater(rig.filter, x)));
    rig.reply();
    await all;
    expect(xs.map(({ identity }) => identity?.subject)).toEqual(xs.map(() => 'anna'));
    expect(rig.asked).toEqual(['abc']);
  });

  test('is not remembered beyond its own end', async () => {
    const rig = new Rig();
    rig.answers = { abc: { ...active, exp: Math.floor(rig.context.clock.wallMs() / 1000) + 10 } };
    await rig.ask('abc');
    rig.context.timers.advance(11_000);
    await rig.ask('abc');
    expect(rig.asked).toEqual(['abc', 'abc']);
  });

  test('gives headers, and is taken out of the request', async () => {
    const rig = new Rig({ claimsToHeaders: { 'X-User': 'sub' }, forwardToken: false });
    rig.answers = { abc: active };
    expect((await rig.ask('abc', { headers: [['authorization', 'Bearer abc'], ['x_user', 'root']] })).lines).toEqual(['GET /', 'host: orders', 'x-user: anna']);
  });
});

describe('refusals', () => {
  test.each([
    ['introspection-inactive', { active: false }], ['introspection-inactive', { active: 'true' }], ['introspection-inactive', { ...active, exp: 1 }],
    ['introspection-audience', { ...active, aud: ['payments'] }], ['introspection-scope', { ...active, scope: 'write' }], ['introspection-invalid', { ...active, sub: 'a\r\nb' }],
  ])('%s', async (code, answer) => {
    const rig = new Rig({ audiences: ['orders'], scopes: ['read'], claimsToHeaders: { 'x-user': 'sub' } });
    rig.answers = { abc: answer };
    expect((await rig.ask('abc')).failure?.reason.code).toBe(code);
  });

  test('an inactive token is remembered for ten seconds', async () => {
    const rig = new Rig();
    rig.answers = { abc: { active: false } };
    await rig.ask('abc');
    await rig.ask('abc');
    expect(rig.asked).toEqual(['abc']);
    rig.context.timers.advance(10_000);
    await rig.ask('abc');
    expect(rig.asked).toEqual(['abc', 'abc']);
  });

  test('an endpoint that cannot be asked is 503, and not remembered', async () => {
    const rig = new Rig();
    expect((await rig.ask('abc')).failure).toMatchObject({ status: 503, reason: { code: 'introspection-unavailable' }, detail: 'timeout' });
    rig.answers = { abc: active };
    expect((await rig.ask('abc')).failure).toBeNull();
  });

  test('a control thread that is silent is not waited for beyond the deadline', async () => {
    const rig = new Rig({ deadline: '500ms' });
    const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers: [['authorization', 'Bearer abc']] } }, rig.context);
    const driven = driveLater(rig.filter, x);
    rig.context.timers.advance(750);
    await driven;
    expect(x.identity?.failure?.reason.code).toBe('introspection-unavailable');
    rig.answers = { abc: active };
    rig.reply();
    expect(x.identity?.proved).toBe(0);
  });

  test.each([[3_600_000, 'introspection-inactive'], [-3_600_000, 'introspection-inactive'], [-29_000, undefined], [29_000, undefined]])('a step of the clock by %d ms, remembered or not: %s', async (stepMs, expected) => {
    for (const before of [true, false]) {
      const clock = new ManualClock();
      const rig = new Rig({}, { clock });
      const now = Math.floor(clock.wallMs() / 1000);
      rig.answers = { abc: { ...active, nbf: now, exp: now + 300 } };
      if (before) expect((await rig.ask('abc')).failure).toBeNull();
      clock.stepWall(stepMs);
      expect((await rig.ask('abc')).failure?.reason.code).toBe(expected);
    }
  });

  test('a missing Secret has a reason of its own, and is not remembered', async () => {
    const rig = new Rig();
    const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers: [['authorization', 'Bearer abc']] } }, rig.context);
    const driven = driveLater(rig.filter, x);
    for (const { answered } of rig.context.asked.splice(0)) answered(encodeIntrospectionAnswer({ claims: null, problem: 'missing', secretMissing: true }));
    await driven;
    expect(x.identity?.failure).toMatchObject({ status: 503, reason: { code: 'introspection-secret' }, pointer: '/clientSecret/secret' });
    rig.answers = { abc: active };
    expect((await rig.ask('abc')).failure).toBeNull();
  });

  test.each(['', 'a b', 'a'.repeat(8_193), 'a\u00ff'])('%j is no token, and nobody is asked', async (token) => {
    const rig = new Rig();
    expect((await rig.ask(token)).failure?.reason.code).toBe('introspection-invalid');
    expect(rig.asked).toEqual([]);
  });

  test('names such as __proto__ are ordinary', async () => {
    const rig = new Rig();
    rig.answers = { __proto__: { active: true, sub: 'root' }, abc: JSON.parse('{"active":true,"sub":"anna","__proto__":{"admin":true}}') as JsonObject };
    const { claims } = await rig.ask('abc');
    expect(Object.getPrototypeOf(claims)).toBeNull();
  });
});

test('tokens that look like JSON Web Tokens are left to others where only opaque ones are meant', async () => {
  const rig = new Rig({ tokens: 'opaque' });
  expect(await rig.ask('eyJhbGciOiJFUzI1NiJ9.e30.AAAA')).toMatchObject({ failure: null, proved: 0 });
  expect(rig.asked).toEqual([]);
});

test('in shadow nobody waits: the second request has the answer', async () => {
  const rig = new Rig({}, { shadow: true });
  rig.answers = { abc: active };
  expect((await rig.ask('abc')).proved).toBe(0);
  expect((await rig.ask('abc')).subject).toBe('anna');
});

test('a consumer is found by what the endpoint says', () => {
  expect(tokenIntrospectionAuthoring.consumers).toBe(true);
  expect(tokenIntrospectionAuthoring.secrets?.({ clientSecret: { secret: 'introspection' } })).toEqual(['introspection']);
});
