import { createHash } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import type { LoginAnswer } from '@remora/policy-kit/tokens/login-question';
import { testKindCases } from '@remora/testing/kind-cases';
import { describe, expect, test } from 'vitest';
import { oidcLoginAuthoring } from './compile.ts';
import { oidcLoginRuntime } from './filter.ts';
import { returnTarget } from './return-target.ts';
import { issuer, LoginRig } from './testdata/login-rig.ts';

testKindCases(import.meta.dirname, oidcLoginAuthoring, oidcLoginRuntime);

describe('a login', () => {
  test('goes to the issuer with state, nonce and PKCE, and comes back to where it began', async () => {
    const rig = new LoginRig();
    const begun = await rig.go('/orders?page=2');
    expect([begun.verdict, begun.identity.invitation?.status, begun.location?.origin]).toEqual([null, 302, issuer]);
    const sent = Object.fromEntries(begun.location?.searchParams ?? []);
    expect(sent).toMatchObject({ x: '1', response_type: 'code', client_id: 'shop', redirect_uri: 'https://shop.example/.remora/callback', scope: 'openid', code_challenge_method: 'S256' });
    expect(begun.cookies[0]).toMatch(/^__Host-remora-login-[\w-]{8}=[\w-]+; Path=\/; Max-Age=600; HttpOnly; Secure; SameSite=Lax$/);
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
    const rig = new LoginRig();
    rig.claims = claims;
    expect((await rig.login()).verdict?.reason.code).toBe('oidc-token');
    expect(rig.jar.has('__Host-remora')).toBe(false);
  });

  test('an ID token with a damaged signature proves nobody', async () => {
    const rig = new LoginRig();
    const usual = rig.answer;
    rig.answer = (question) => {
      const answer = usual(question);
      return answer.outcome === 'tokens' ? { ...answer, idToken: `${answer.idToken.slice(0, -8)}AAAAAAAA` } : answer;
    };
    expect((await rig.login()).verdict?.reason.code).toBe('oidc-token');
  });

  test('state is used by the browser that began, in time, and its end takes the cookie away', async () => {
    const rig = new LoginRig();
    const state = (await rig.go('/')).location?.searchParams.get('state') ?? '';
    const jar = new Map(rig.jar);
    const [name = ''] = rig.jar.keys();
    const callback = (query = `?code=abc&state=${state}`): Promise<string | undefined> => rig.go(`/.remora/callback${query}`).then(({ verdict }) => verdict?.reason.code);
    rig.jar.clear();
    expect(await callback()).toBe('oidc-state');
    for (const [key, value] of jar) rig.jar.set(key, value);
    const other = `${state.slice(0, 8)}${'x'.repeat(35)}`;
    for (const query of ['', '?code=abc', '?code=abc&state=x', `?code=abc&state=${other}`, `?code=abc&state=${state}&state=${state}`, `?state=${state}`, `?code=${'x'.repeat(4097)}&state=${state}`]) {
      expect(await callback(query)).toBe('oidc-state');
    }
    expect(await callback(`?code=abc&state=${state}&iss=${encodeURIComponent('https://evil.example')}`)).toBe('oidc-state');
    expect((await rig.go(`/.remora/callback?code=abc&state=${state}`, { method: 'POST' })).verdict?.reason.code).toBe('oidc-state');
    expect(rig.asked.map(({ want }) => want)).toEqual(['addresses']);
    expect(await callback(`?code=abc&state=${state}&iss=${encodeURIComponent(issuer)}`)).toBe('oidc-redirect');
    expect(rig.jar.has(name)).toBe(false);
    expect(rig.asked.at(-1)).toMatchObject({ want: 'code', state, grant: 'abc' });

    const late = new LoginRig();
    const second = (await late.go('/')).location?.searchParams.get('state') ?? '';
    late.context.timers.advance(600_000);
    expect((await late.go(`/.remora/callback?code=abc&state=${second}`)).verdict?.reason.code).toBe('oidc-state');
  });

  test('a callback that comes twice at once is asked about twice: nobody shares the answer of another', async () => {
    const rig = new LoginRig();
    const state = (await rig.go('/')).location?.searchParams.get('state') ?? '';
    const taken = new Set<string>();
    const usual = rig.answer;
    rig.answer = (question) => {
      if (question.want !== 'code') return usual(question);
      if (taken.has(question.state)) return { outcome: 'replayed', problem: '' };
      taken.add(question.state);
      return usual(question);
    };
    const both = await Promise.all([1, 2].map(() => rig.go(`/.remora/callback?code=abc&state=${state}`)));
    expect(new Set(both.map(({ verdict }) => verdict?.reason.code))).toEqual(new Set(['oidc-redirect', 'oidc-state']));
  });

  test('in two tabs at once both end, in any order, each where it began', async () => {
    const rig = new LoginRig();
    const [first, second] = [await rig.go('/first'), await rig.go('/second')];
    const back = (begun: typeof first): ReturnType<LoginRig['go']> => {
      rig.nonce = begun.location?.searchParams.get('nonce') ?? '';
      return rig.go(`/.remora/callback?code=abc&state=${begun.location?.searchParams.get('state') ?? ''}`);
    };
    expect([...rig.jar.keys()].filter((name) => name.includes('-login-'))).toHaveLength(2);
    expect((await back(second)).location?.pathname).toBe('/second');
    expect((await rig.go('/', { accept: '*/*' })).identity.subject).toBe('anna');
    expect((await back(first)).location?.pathname).toBe('/first');
    expect([...rig.jar.keys()]).toEqual(['__Host-remora']);
  });

  test('logins that nobody ends do not pile up in a browser', async () => {
    const rig = new LoginRig();
    const pending = (): number => [...rig.jar.keys()].filter((name) => name.includes('-login-')).length;
    for (let i = 1; i <= 5; i++) {
      await rig.go('/');
      expect(pending()).toBe(i);
    }
    await rig.go('/');
    expect(pending()).toBe(1);
  });

  test('a user whom the issuer refuses, and a code that it does not take', async () => {
    const rig = new LoginRig();
    const state = (await rig.go('/')).location?.searchParams.get('state') ?? '';
    expect((await rig.go(`/.remora/callback?error=access_denied&state=${state}`)).verdict?.reason.code).toBe('oidc-denied');
    expect([...rig.jar]).toEqual([]);
    const other = new LoginRig();
    other.answer = ({ want }) => (want === 'addresses' ? { outcome: 'addresses', authorization: issuer, endSession: '', secretMissing: false } : { outcome: 'refused', problem: 'invalid_grant' });
    expect((await other.login()).verdict?.reason.code).toBe('oidc-state');
  });

  test.each<[string, Parameters<LoginRig['go']>[1]]>([
    ['JSON', { accept: 'application/json' }], ['anything', { accept: '*/*' }], ['a POST', { method: 'POST' }], ['a HEAD', { method: 'HEAD' }],
    ['fetch', { headers: [['sec-fetch-mode', 'cors']] }], ['a script of the same origin', { headers: [['sec-fetch-mode', 'same-origin']] }], ['an older script', { headers: [['x-requested-with', 'XMLHttpRequest']] }],
    ['a page in advance', { headers: [['sec-fetch-mode', 'navigate'], ['sec-purpose', 'prefetch;prerender']] }],
  ])('%s is not sent to the issuer, and told how to log in', async (_what, request) => {
    const rig = new LoginRig();
    expect(await rig.go('/', request)).toMatchObject({ verdict: null, identity: { invitation: null, challenges: ['Cookie cookie-name="__Host-remora"'] } });
    expect([rig.asked, [...rig.jar]]).toEqual([[], []]);
  });

  test('a navigation is', async () => {
    expect((await new LoginRig().go('/', { headers: [['sec-fetch-mode', 'navigate'], ['sec-fetch-site', 'cross-site']] })).identity.invitation?.status).toBe(302);
  });

  test('nobody is sent to an issuer that is away, or at which the login could not be ended', async () => {
    const rig = new LoginRig();
    rig.answer = () => ({ outcome: 'unavailable', problem: 'timeout' });
    expect((await rig.go('/')).identity.invitation?.reason.code).toBe('oidc-unavailable');
    rig.answer = () => ({ outcome: 'addresses', authorization: `${issuer}/auth`, endSession: '', secretMissing: true });
    expect((await rig.go('/')).identity.invitation).toMatchObject({ status: 503, reason: { code: 'oidc-secret' }, pointer: '/clientSecret/secret' });
    const short = new LoginRig({ sessionKey: { secret: 'short' } });
    expect((await short.go('/')).identity.invitation).toMatchObject({ reason: { code: 'oidc-secret' }, pointer: '/sessionKey/secret' });
  });

  test.each<[LoginAnswer['outcome'], string]>([['unavailable', 'oidc-unavailable'], ['secret', 'oidc-secret'], ['refused', 'oidc-state'], ['replayed', 'oidc-state'], ['unusable', 'oidc-token']])('a token endpoint that is %s', async (outcome, code) => {
    const rig = new LoginRig();
    const usual = rig.answer;
    rig.answer = (question) => (question.want === 'code' ? { outcome: outcome as 'refused', problem: 'x' } : usual(question));
    expect((await rig.login()).verdict?.reason.code).toBe(code);
    expect(rig.jar.has('__Host-remora')).toBe(false);
  });

  test('a session that is too large is not begun', async () => {
    const rig = new LoginRig();
    rig.claims = { email: 'x'.repeat(4000) };
    expect((await rig.login()).verdict?.reason.code).toBe('oidc-session-size');
  });
});

test('a logout clears the cookies and goes to the issuer; another site cannot make it', async () => {
  const rig = new LoginRig();
  await rig.login();
  expect((await rig.go('/.remora/logout', { headers: [['sec-fetch-site', 'cross-site']] })).verdict?.reason.code).toBe('oidc-cross-site');
  const out = await rig.go('/.remora/logout');
  expect(out.location?.href).toBe(`${issuer}/end?client_id=shop&post_logout_redirect_uri=${encodeURIComponent('https://shop.example/')}`);
  expect([...rig.jar]).toEqual([]);
});

test('in shadow nobody waits or is sent anywhere', async () => {
  const rig = new LoginRig({}, { shadow: true });
  for (const path of ['/', '/.remora/callback', '/.remora/logout']) expect(await rig.go(path)).toMatchObject({ verdict: null, identity: { invitation: null } });
});

test.each([
  ['/a?b=c', '/a?b=c'], ['//evil.example', '/'], ['/\\evil.example', '/'], ['/a\\b', '/'], ['https://evil.example', '/'], ['', '/'], ['/\t/evil', '/'], ['/a\r\nset-cookie: x', '/'], [`/${'a'.repeat(2000)}`, '/'], ['/%2f%2fevil', '/%2f%2fevil'],
])('%j leads to %j', (target, wanted) => {
  expect(returnTarget(target)).toBe(wanted);
});

test.each(['//evil.example/x', '/\\evil.example', '/%5c%5cevil.example', '/.//evil.example', '/%09/evil.example', '/;//evil.example', '/@evil.example', '/?next=//evil.example', '///evil.example'])('a login that begins at %j ends at this host', async (target) => {
  const rig = new LoginRig();
  expect((await rig.login(target)).location?.origin).toBe('https://shop.example');
});

test('an address of the issuer that names parameters of its own cannot be given ours twice', async () => {
  const rig = new LoginRig();
  rig.answer = () => ({ outcome: 'addresses', authorization: `${issuer}/auth?state=theirs&redirect_uri=x`, endSession: '', secretMissing: false });
  const { location } = await rig.go('/');
  expect([location?.searchParams.getAll('state').length, location?.searchParams.getAll('redirect_uri')]).toEqual([1, ['https://shop.example/.remora/callback']]);
});

test('the Secrets that it names are those that it gets', () => {
  expect(oidcLoginAuthoring.secrets?.({ clientSecret: { secret: 'a' }, sessionKey: { secret: 'b' }, formerSessionKey: { secret: 'c' } })).toEqual(['a', 'b', 'c']);
});
