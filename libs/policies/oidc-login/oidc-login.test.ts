import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { Answer } from '@remora/policy-kit/exchange';
import { FactBooks } from '@remora/policy-kit/facts';
import { encodeKeySet } from '@remora/policy-kit/tokens/issuer-keys';
import { decodeLoginQuestion, encodeLoginAnswer, type LoginAnswer, type LoginQuestion } from '@remora/policy-kit/tokens/login-question';
import type { RequestIdentity } from '@remora/policy-kit/request-identity';
import { driveLater } from '@remora/testing/drive-later';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext, type TestContextOptions } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { describe, expect, test } from 'vitest';
import { oidcLoginAuthoring } from './compile.ts';
import { oidcLoginRuntime } from './filter.ts';
import { returnTarget } from './return-target.ts';

testKindCases(import.meta.dirname, oidcLoginAuthoring, oidcLoginRuntime);

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const issuer = 'https://login.example';
const sourceName = JSON.stringify([issuer, '', false]);

class Rig {
  readonly facts = new FactBooks();
  readonly context: TestFilterContext;
  readonly filter: ReturnType<NonNullable<typeof oidcLoginRuntime.edge>> & object;
  answer: (question: LoginQuestion) => LoginAnswer;
  readonly asked: LoginQuestion[] = [];
  readonly jar = new Map<string, string>();
  nonce = '';
  claims: JsonObject = {};

  constructor(section: JsonObject = {}, options: TestContextOptions = {}) {
    this.context = new TestFilterContext('oidcLogin', { factBooks: this.facts, ...options });
    this.facts.apply({ kind: 'secret', full: true, facts: new Map([['sessions', Buffer.from('the first session key')], ['later', Buffer.from('the second session key')]]) });
    this.facts.apply({ kind: 'jwks', full: true, facts: new Map([[sourceName, encodeKeySet([{ ...publicKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'a' } as unknown as Json])]]) });
    this.filter = build(section, this.context);
    this.answer = ({ want }) => (want === 'addresses' ? { outcome: 'addresses', authorization: `${issuer}/auth?x=1`, endSession: `${issuer}/end` } : this.tokens());
  }

  get nowSeconds(): number {
    return Math.floor(this.context.clock.wallMs() / 1000);
  }

  tokens(more: Partial<Extract<LoginAnswer, { outcome: 'tokens' }>> = {}): LoginAnswer {
    const claims = { iss: issuer, aud: 'shop', sub: 'anna', nonce: this.nonce, iat: this.nowSeconds, exp: this.nowSeconds + 300, email: 'anna@shop.example', secret: 'not kept', ...this.claims };
    return { outcome: 'tokens', idToken: signed(claims), refreshToken: 'refresh-1', scope: 'openid email', expiresInSeconds: 300, ...more };
  }

  async go(target: string, { headers = [], method = 'GET', accept = 'text/html', filter = this.filter }: { headers?: [string, string][]; method?: string; accept?: string; filter?: Rig['filter'] } = {}): Promise<{ verdict: Answer | null; identity: RequestIdentity; lines: readonly string[]; location: URL | null; cookies: readonly string[] }> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const x = makeExchange({ request: { method, authority: 'shop.example', target, headers: [['accept', accept], ...(cookie === '' ? [] : [['cookie', cookie] as [string, string]]), ...headers] } }, this.context);
    const driven = driveLater(filter, x);
    const timer = setInterval(() => this.reply(), 0);
    const verdict = await driven;
    clearInterval(timer);
    if (x.identity === null) throw new Error('it did not look');
    const answer = verdict ?? x.identity.invitation;
    const slot = x.slots.find((one) => typeof one === 'string');
    const cookies = [...(answer?.fields ?? []).filter(({ name }) => name === 'set-cookie').map(({ value }) => value), ...(typeof slot === 'string' ? [slot] : [])];
    for (const line of cookies) this.keep(line);
    const to = answer?.fields.find(({ name }) => name === 'location')?.value;
    const location = to === undefined ? null : new URL(to, 'https://shop.example');
    this.nonce = location?.searchParams.get('nonce') ?? this.nonce;
    return { verdict, identity: x.identity, lines: headLines(x.head), location, cookies };
  }

  keep(line: string): void {
    const [pair = ''] = line.split(';');
    const [name = '', value = ''] = pair.split('=');
    if (line.includes('Max-Age=0')) this.jar.delete(name);
    else this.jar.set(name, value);
  }

  reply(): void {
    for (const { topic, body, answered } of this.context.asked.splice(0)) {
      if (topic !== 'oidcLogin') {
        answered(Uint8Array.of(0));
        continue;
      }
      const question = decodeLoginQuestion(body);
      this.asked.push(question);
      answered(encodeLoginAnswer(this.answer(question)));
    }
  }

  async login(target = '/orders?page=2'): Promise<Awaited<ReturnType<Rig['go']>>> {
    const begun = await this.go(target);
    return this.go(`/.remora/callback?code=abc&state=${begun.location?.searchParams.get('state') ?? ''}`);
  }
}

function build(section: JsonObject, context: TestFilterContext): Rig['filter'] {
  const whole = { issuer, clientId: 'shop', clientSecret: { secret: 'client' }, sessionKey: { secret: 'sessions' }, ...section };
  const filter = oidcLoginRuntime.edge?.(oidcLoginRuntime.decode(oidcLoginAuthoring.compile(effectiveSection(oidcLoginAuthoring, whole)).body), context);
  if (!filter) throw new Error('the section builds a filter');
  return filter;
}

function signed(claims: JsonObject): string {
  const text = [{ alg: 'ES256', kid: 'a' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

describe('a login', () => {
  test('goes to the issuer with state, nonce and PKCE, and comes back to where it began', async () => {
    const rig = new Rig();
    const begun = await rig.go('/orders?page=2');
    expect([begun.verdict, begun.identity.invitation?.status, begun.location?.origin]).toEqual([null, 302, issuer]);
    const sent = Object.fromEntries(begun.location?.searchParams ?? []);
    expect(sent).toMatchObject({ x: '1', response_type: 'code', client_id: 'shop', redirect_uri: 'https://shop.example/.remora/callback', scope: 'openid', code_challenge_method: 'S256' });
    expect(begun.cookies[0]).toMatch(/^__Host-remora-login=[\w-]+; Path=\/; Max-Age=600; HttpOnly; Secure; SameSite=Lax$/);
    const back = await rig.go(`/.remora/callback?code=abc&state=${sent['state']}`);
    expect([back.verdict?.status, back.location?.href]).toEqual([302, 'https://shop.example/orders?page=2']);
    expect(createHash('sha256').update(rig.asked.at(-1)?.verifier ?? '').digest('base64url')).toBe(sent['code_challenge']);
    expect(back.cookies[0]).toMatch(/^__Host-remora=[\w-]+; Path=\/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax$/);
    const known = await rig.go('/', { headers: [['cookie', 'theme=dark']] });
    expect(known.identity).toMatchObject({ subject: 'anna', issuer, scopes: ['openid', 'email'], claims: { sub: 'anna', email: 'anna@shop.example' } });
    expect(known.identity.claims).not.toHaveProperty('secret');
    expect(known.lines.filter((line) => line.startsWith('cookie'))).toEqual(['cookie: theme=dark']);
  });

  test.each<[string, JsonObject]>([
    ['another issuer', { iss: 'https://evil.example' }], ['another client', { aud: 'other' }], ['azp', { azp: 'other' }], ['several audiences', { aud: ['shop', 'other'] }], ['nonce', { nonce: 'x' }],
    ['no nonce', { nonce: null }], ['an end', { exp: 1 }], ['the future', { iat: 9_999_999_999 }], ['no subject', { sub: '' }],
  ])('an ID token with a wrong %s proves nobody', async (_title, claims) => {
    const rig = new Rig();
    rig.claims = claims;
    expect((await rig.login()).verdict?.reason.code).toBe('oidc-token');
    expect(rig.jar.has('__Host-remora')).toBe(false);
  });

  test('an ID token with a damaged signature proves nobody', async () => {
    const rig = new Rig();
    const usual = rig.answer;
    rig.answer = (question) => {
      const answer = usual(question);
      return answer.outcome === 'tokens' ? { ...answer, idToken: `${answer.idToken.slice(0, -8)}AAAAAAAA` } : answer;
    };
    expect((await rig.login()).verdict?.reason.code).toBe('oidc-token');
  });

  test('state is used once, by the browser that began, in time', async () => {
    const rig = new Rig();
    const begun = await rig.go('/');
    const state = begun.location?.searchParams.get('state') ?? '';
    const cookie = rig.jar.get('__Host-remora-login') ?? '';
    const callback = (path = `/.remora/callback?code=abc&state=${state}`): Promise<string | undefined> => rig.go(path).then(({ verdict }) => verdict?.reason.code);
    rig.jar.clear();
    expect(await callback()).toBe('oidc-state');
    rig.jar.set('__Host-remora-login', cookie);
    for (const query of ['', '?code=abc', '?code=abc&state=x', `?code=abc&state=${state}&state=${state}`]) expect(await callback(`/.remora/callback${query}`)).toBe('oidc-state');
    expect(await callback()).toBe('oidc-redirect');
    rig.jar.set('__Host-remora-login', cookie);
    expect(await callback()).toBe('oidc-state');
    const late = new Rig();
    const second = (await late.go('/')).location?.searchParams.get('state') ?? '';
    late.context.timers.advance(600_000);
    expect((await late.go(`/.remora/callback?code=abc&state=${second}`)).verdict?.reason.code).toBe('oidc-state');
  });

  test('a user whom the issuer refuses, and a code that it does not take', async () => {
    const rig = new Rig();
    const state = (await rig.go('/')).location?.searchParams.get('state') ?? '';
    expect((await rig.go(`/.remora/callback?error=access_denied&state=${state}`)).verdict?.reason.code).toBe('oidc-denied');
    const other = new Rig();
    other.answer = ({ want }) => (want === 'addresses' ? { outcome: 'addresses', authorization: issuer, endSession: '' } : { outcome: 'refused', problem: 'invalid_grant' });
    expect((await other.login()).verdict?.reason.code).toBe('oidc-state');
  });

  test('programs are not sent anywhere, nor is anybody while the issuer is away', async () => {
    const rig = new Rig();
    for (const request of [{ accept: 'application/json' }, { method: 'POST' }]) expect((await rig.go('/', request)).identity.invitation).toBeNull();
    rig.answer = () => ({ outcome: 'unavailable', problem: 'timeout' });
    expect((await rig.go('/')).identity.invitation?.reason.code).toBe('oidc-unavailable');
  });

  test('a session that is too large is not begun', async () => {
    const rig = new Rig();
    rig.claims = { email: 'x'.repeat(4000) };
    expect((await rig.login()).verdict?.reason.code).toBe('oidc-session-size');
  });
});

describe('a session', () => {
  test('with any byte changed is none', async () => {
    const rig = new Rig();
    await rig.login();
    const text = rig.jar.get('__Host-remora') ?? '';
    for (let i = 0; i < text.length; i++) {
      rig.jar.set('__Host-remora', `${text.slice(0, i)}${text[i] === 'A' ? 'B' : 'A'}${text.slice(i + 1)}`);
      expect((await rig.go('/', { accept: '*/*' })).identity.proved).toBe(0);
    }
    rig.jar.set('__Host-remora', text);
    expect((await rig.go('/')).identity.subject).toBe('anna');
  });

  test('of another place, client or purpose is none', async () => {
    const rig = new Rig();
    await rig.go('/');
    rig.jar.set('__Host-remora', rig.jar.get('__Host-remora-login') ?? '');
    expect((await rig.go('/', { accept: '*/*' })).identity.proved).toBe(0);
    await rig.login();
    const others = [build({ clientId: 'other' }, rig.context), build({}, new TestFilterContext('oidcLogin', { factBooks: rig.facts, scope: 'gateway/other/' }))];
    for (const filter of others) expect((await rig.go('/', { accept: '*/*', filter })).identity.proved).toBe(0);
  });

  test('outlives a new key where the former one is named', async () => {
    const rig = new Rig();
    await rig.login();
    const keyed = (section: JsonObject): Promise<number> => rig.go('/', { accept: '*/*', filter: build(section, rig.context) }).then(({ identity }) => identity.proved);
    expect(await keyed({ sessionKey: { secret: 'later' } })).toBe(0);
    expect(await keyed({ sessionKey: { secret: 'later' }, formerSessionKey: { secret: 'sessions' } })).not.toBe(0);
  });

  test('is refreshed before its tokens end, once for all who wait, and ends after its lifetime', async () => {
    const rig = new Rig({ cookie: { lifetime: '10m' } });
    await rig.login();
    rig.context.timers.advance(275_000);
    const before = rig.jar.get('__Host-remora');
    const asked = rig.asked.length;
    const all = await Promise.all([rig.go('/'), rig.go('/'), rig.go('/')]);
    expect(all.map(({ identity }) => identity.subject)).toEqual(['anna', 'anna', 'anna']);
    expect(rig.asked.slice(asked).map(({ want, grant }) => [want, grant])).toEqual([['refresh', 'refresh-1']]);
    expect(rig.jar.get('__Host-remora')).not.toBe(before);
    rig.context.timers.advance(326_000);
    expect((await rig.go('/')).identity.proved).toBe(0);
  });

  test.each<[string, number, LoginAnswer, string]>([
    ['the issuer is away, and the tokens hold', 275_000, { outcome: 'unavailable', problem: '' }, 'anna'], ['the issuer is away', 301_000, { outcome: 'unavailable', problem: '' }, ''],
    ['the issuer refuses', 275_000, { outcome: 'refused', problem: '' }, ''],
  ])('when %s', async (_title, afterMs, answer, subject) => {
    const rig = new Rig();
    await rig.login();
    rig.context.timers.advance(afterMs);
    const usual = rig.answer;
    rig.answer = (question) => (question.want === 'refresh' ? answer : usual(question));
    expect((await rig.go('/')).identity.subject).toBe(subject);
  });

  test('is not taken over by another user when it is refreshed', async () => {
    const rig = new Rig();
    await rig.login();
    rig.context.timers.advance(275_000);
    rig.claims = { sub: 'mallory' };
    expect((await rig.go('/')).identity.proved).toBe(0);
  });
});

test('a logout clears the cookies and goes to the issuer; another site cannot make it', async () => {
  const rig = new Rig();
  await rig.login();
  expect((await rig.go('/.remora/logout', { headers: [['sec-fetch-site', 'cross-site']] })).verdict?.reason.code).toBe('oidc-cross-site');
  const out = await rig.go('/.remora/logout');
  expect(out.location?.href).toBe(`${issuer}/end?client_id=shop&post_logout_redirect_uri=${encodeURIComponent('https://shop.example/')}`);
  expect([...rig.jar]).toEqual([]);
});

test('in shadow nobody waits or is sent anywhere', async () => {
  const rig = new Rig({}, { shadow: true });
  for (const path of ['/', '/.remora/callback', '/.remora/logout']) expect(await rig.go(path)).toMatchObject({ verdict: null, identity: { invitation: null } });
});

test.each([
  ['/a?b=c', '/a?b=c'], ['//evil.example', '/'], ['/\\evil.example', '/'], ['/a\\b', '/'], ['https://evil.example', '/'], ['', '/'], ['/\t/evil', '/'], ['/a\r\nset-cookie: x', '/'], [`/${'a'.repeat(2000)}`, '/'], ['/%2f%2fevil', '/%2f%2fevil'],
])('%j leads to %j', (target, wanted) => {
  expect(returnTarget(target)).toBe(wanted);
});

test('the Secrets that it names are those that it gets', () => {
  expect(oidcLoginAuthoring.secrets?.({ clientSecret: { secret: 'a' }, sessionKey: { secret: 'b' }, formerSessionKey: { secret: 'c' } })).toEqual(['a', 'b', 'c']);
});
