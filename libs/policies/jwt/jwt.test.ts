import type { JsonObject } from '@remora/core/canonical-json';
import { FactBooks } from '@remora/policy-kit/facts';
import type { RequestIdentity } from '@remora/policy-kit/request-identity';
import { encodeKeySet, keySourceName } from '@remora/policy-kit/tokens/issuer-keys';
import { driveLater } from '@remora/testing/drive-later';
import { headLines, makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { testKindCases } from '@remora/testing/kind-cases';
import { hmacToken, TestIssuer } from '@remora/testing/test-issuer';
import { describe, expect, test } from 'vitest';
import { jwtAuthoring } from './compile.ts';
import { jwtRuntime } from './filter.ts';
import { underwayMax } from './thread-tokens.ts';
import { buildJwt, consumerFacts, type BuiltJwt } from './testdata/build-jwt.ts';

testKindCases(import.meta.dirname, jwtAuthoring, jwtRuntime);

const issuer = new TestIssuer();
const inline = { issuer: issuer.issuer, audiences: ['orders'], jwks: issuer.jwks(issuer.key('ES256'), issuer.key('RS256'), issuer.key('PS256'), issuer.key('EdDSA')) };

async function ask(built: BuiltJwt, token: string | null, step: Partial<ExchangeStep['request']> = {}): Promise<RequestIdentity & { readonly lines: readonly string[] }> {
  const headers: [string, string][] = token === null ? [] : [['authorization', `Bearer ${token}`]];
  const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers, ...step } }, built.context);
  expect(await driveLater(built.filter, x)).toBeNull();
  const { identity } = x;
  if (identity === null) throw new Error('it did not look');
  return Object.assign(identity, { lines: headLines(x.head) });
}

describe('a token of an issuer whose keys stand in the policy', () => {
  const ways = ['at once', 'elsewhere'] as const;
  test.each(['ES256', 'RS256', 'PS256', 'EdDSA'].flatMap((algorithm) => ways.map((verify) => [algorithm, verify] as const)))('%s, verified %s, is found, and found again without verifying it', async (algorithm, verify) => {
    const built = buildJwt({ issuers: { shop: inline } }, { verify });
    const token = issuer.token({ scope: 'read write', realm_access: { roles: ['a', 'b'] } }, { key: issuer.key(algorithm), nowMs: built.nowMs });
    for (const counts of [[1, undefined], [1, 1]]) {
      const identity = await ask(built, token);
      expect(identity).toMatchObject({ failure: null, subject: 'anna', issuer: issuer.issuer, scopes: ['read', 'write'], consumer: null });
      expect(identity.claims).toMatchObject({ sub: 'anna' });
      expect([built.context.counts.get('jwt_verified'), built.context.counts.get('jwt_cached')]).toEqual(counts);
    }
  });

  test('without a token nothing is found, and the client is told how to come back', async () => {
    expect(await ask(buildJwt({ issuers: { shop: inline } }), null)).toMatchObject({ failure: null, proved: 0, challenges: ['Bearer'] });
  });

  test('beyond the share of the thread, more new tokens at once than may be under way are refused, and nobody else', async () => {
    const built = buildJwt({ issuers: { shop: inline } }, { verify: 'elsewhere' });
    const known = issuer.token({}, { nowMs: built.nowMs });
    await ask(built, known);
    const all = await Promise.all([...Array.from({ length: underwayMax + 3 }, (_, i) => issuer.token({ jti: String(i) }, { nowMs: built.nowMs })), known].map((token) => ask(built, token)));
    expect(all.map(({ subject, failure }) => failure?.reason.code ?? subject)).toEqual([...Array<string>(underwayMax).fill('anna'), 'jwt-overload', 'jwt-overload', 'jwt-overload', 'anna']);
    expect(built.context.counts.get('jwt_overload')).toBe(3);
  });

  test('requests with the same new token wait for one verification', async () => {
    const built = buildJwt({ issuers: { shop: inline } }, { verify: 'elsewhere' });
    const token = issuer.token({}, { nowMs: built.nowMs });
    const all = await Promise.all(Array.from({ length: 20 }, () => ask(built, token)));
    expect(all.map(({ subject }) => subject)).toEqual(all.map(() => 'anna'));
    expect(built.context.counts.get('jwt_verified')).toBe(1);
  });

  test('in shadow it decides without waiting', async () => {
    const built = buildJwt({ issuers: { shop: inline } }, { shadow: true });
    expect((await ask(built, issuer.token({}, { nowMs: built.nowMs }))).subject).toBe('anna');
  });
});

describe('headers from claims', () => {
  const section = { issuers: { shop: inline }, claimsToHeaders: { 'X-User-Id': 'sub', 'X-Roles': 'realm_access.roles', 'X-None': 'nothing' } };

  test('are set, nested ones and lists too; what the client sent under any spelling is gone', async () => {
    const built = buildJwt(section);
    const token = issuer.token({ realm_access: { roles: ['a', 'b'] } }, { nowMs: built.nowMs });
    const identity = await ask(built, token, { headers: [['authorization', `bearer  ${token}`], ['x_user_id', 'root'], ['X-Roles', 'admin'], ['x.none', '1']] });
    expect(identity.lines.filter((line) => line.startsWith('x'))).toEqual(['x-roles: a,b', 'x-user-id: anna']);
  });

  test('are removed where there is no token', async () => {
    const identity = await ask(buildJwt(section), null, { headers: [['x_user_id', 'root'], ['x-user.id', 'root']] });
    expect(identity.lines.filter((line) => line.startsWith('x'))).toEqual([]);
  });

  test.each([['a line break', 'a\r\nx-admin: 1'], ['a very long text', 'a'.repeat(5000)]])('%s refuses', async (_what, sub) => {
    const built = buildJwt(section);
    expect((await ask(built, issuer.token({ sub }, { nowMs: built.nowMs }))).failure?.reason.code).toBe('jwt-claims');
  });
});

describe('where the token comes from', () => {
  const places: readonly [string, JsonObject, (token: string) => Partial<ExchangeStep['request']>, string][] = [
    ['another header', { header: 'x-token' }, (token) => ({ headers: [['x-token', token]] }), '/'],
    ['a parameter', { query: 'access_token' }, (token) => ({ target: `/a?b=1&access%5Ftoken=${token}&c=2`, headers: [] }), '/a?b=1&c=2'],
    ['a cookie', { cookie: 'session' }, (token) => ({ headers: [['cookie', `a=1; session=${token}; b=2`]] }), '/'],
  ];

  test.each(places)('%s, taken away where it is not to be forwarded', async (_what, place, step, target) => {
    const built = buildJwt({ issuers: { shop: inline }, tokenFrom: [place], forwardToken: false });
    const token = issuer.token({}, { nowMs: built.nowMs });
    const identity = await ask(built, null, step(token));
    expect(identity.subject).toBe('anna');
    expect(identity.lines.join('\n')).not.toContain(token);
    expect(identity.lines[0]).toBe(`GET ${target}`);
  });

  test('two places with a token each refuse', async () => {
    const built = buildJwt({ issuers: { shop: inline }, tokenFrom: [{ header: 'authorization', scheme: 'Bearer' }, { query: 't' }] });
    const token = issuer.token({}, { nowMs: built.nowMs });
    expect((await ask(built, token, { target: `/?t=${token}` })).failure).toMatchObject({ status: 401, detail: 'more than one token' });
  });

  test('two Authorization fields refuse, whatever is in them', async () => {
    const built = buildJwt({ issuers: { shop: inline } });
    const token = issuer.token({}, { nowMs: built.nowMs });
    for (const other of [`Bearer ${token}`, 'Basic YTpi']) {
      expect((await ask(built, null, { headers: [['authorization', `Bearer ${token}`], ['Authorization', other]] })).failure).toMatchObject({ status: 401 });
    }
  });

  test('what is no token of ours refuses, or is left to others', async () => {
    for (const [otherTokens, code] of [['refuse', 'jwt-invalid'], ['ignore', undefined]] as const) {
      expect((await ask(buildJwt({ issuers: { shop: inline }, otherTokens }), 'opaque')).failure?.reason.code).toBe(code);
    }
    const built = buildJwt({ issuers: { shop: inline }, otherTokens: 'ignore' });
    expect((await ask(built, issuer.token({ iss: 'https://other.example' }, { nowMs: built.nowMs }))).failure).toBeNull();
    expect((await ask(built, `${issuer.token({}, { nowMs: built.nowMs })}A`)).failure?.reason.code).toMatch(/jwt-(invalid|signature)/);
    expect((await ask(built, null, { headers: [['authorization', 'Basic YTpi']] })).failure).toBeNull();
  });
});

describe('keys that the control thread fetches', () => {
  const section = { issuers: { shop: { issuer: issuer.issuer, audiences: ['orders'] } } };
  const source = keySourceName({ issuer: issuer.issuer, uri: '', allowPrivateAddresses: false });
  const give = (built: BuiltJwt, ...keys: readonly string[]): void =>
    built.facts.apply({ kind: 'jwks', full: false, facts: new Map([[source, encodeKeySet(keys.map((name) => issuer.key('ES256', name).jwk()))]]) });

  test('503 until they are there, and when they are too old', async () => {
    const built = buildJwt(section);
    const token = issuer.token({}, { nowMs: built.nowMs, key: issuer.key('ES256', 'a') });
    expect((await ask(built, token)).failure).toMatchObject({ status: 503, reason: { code: 'jwks-warming' } });
    give(built, 'a');
    expect((await ask(built, token)).subject).toBe('anna');
    give(built);
    expect((await ask(built, token)).failure).toMatchObject({ status: 503, reason: { code: 'jwks-unavailable' } });
  });

  test('a key that is gone takes its tokens along; the same keys again change nothing', async () => {
    const built = buildJwt(section);
    give(built, 'a', 'b');
    const token = issuer.token({}, { nowMs: built.nowMs, key: issuer.key('ES256', 'a') });
    expect((await ask(built, token)).subject).toBe('anna');
    give(built, 'a', 'b');
    expect((await ask(built, token)).subject).toBe('anna');
    expect(built.context.counts.get('jwt_verified')).toBe(1);
    give(built, 'b');
    const later = ask(built, token);
    built.context.asked.at(-1)?.answered(null);
    expect((await later).failure).toMatchObject({ status: 401, reason: { code: 'jwt-key' } });
  });

  test('for an unknown key newer ones are asked for once, and all wait for them', async () => {
    const built = buildJwt(section);
    give(built, 'a');
    const token = issuer.token({}, { nowMs: built.nowMs, key: issuer.key('ES256', 'new') });
    const waiting = [ask(built, token), ask(built, token)];
    expect(built.context.asked.map(({ topic, body }) => [topic, Buffer.from(body).toString()])).toEqual([['jwt.keys', source]]);
    give(built, 'a', 'new');
    built.context.asked[0]?.answered(new Uint8Array(1));
    expect((await Promise.all(waiting)).map(({ subject }) => subject)).toEqual(['anna', 'anna']);
    const foreign = issuer.token({}, { nowMs: built.nowMs, key: issuer.key('ES256', 'foreign') });
    expect((await ask(built, foreign)).failure?.reason.code).toBe('jwt-key');
    expect(built.context.asked).toHaveLength(1);
  });

  test('nobody answers: the request goes on after two seconds', async () => {
    const built = buildJwt(section);
    give(built, 'a');
    const later = ask(built, issuer.token({}, { nowMs: built.nowMs, key: issuer.key('ES256', 'other') }));
    built.context.timers.advance(2000);
    expect((await later).failure?.reason.code).toBe('jwt-key');
  });
});

describe('consumers', () => {
  test('are found by what their tokens say, and again when that has changed', async () => {
    const built = buildJwt({ issuers: { shop: inline } });
    const token = issuer.token({ azp: 'mobile-app' }, { nowMs: built.nowMs });
    expect((await ask(built, token)).consumer).toBeNull();
    built.facts.apply(consumerFacts({ name: 'mobile', identities: [{ issuer: issuer.issuer, claim: 'azp', value: 'mobile-app' }] }));
    expect((await ask(built, token)).consumer).toMatchObject({ name: 'mobile' });
  });

  test('sign tokens themselves where that is accepted, with their own keys only', async () => {
    const secret = Buffer.alloc(32, 7);
    const key = { keyId: 'k1', algorithm: 'HS256', key: secret, issuer: 'partner-a' };
    const other = { keyId: 'k1', algorithm: 'HS256', key: Buffer.alloc(32, 8), issuer: 'partner-b' };
    const built = buildJwt({ consumerTokens: { accepted: true, audiences: ['orders'] } });
    built.facts.apply(consumerFacts({ name: 'a', tokenKeys: [key] }, { name: 'b', tokenKeys: [other] }));
    const claims = { iss: 'partner-a', aud: 'orders', exp: Math.floor(built.nowMs / 1000) + 60 };
    expect((await ask(built, hmacToken(secret, claims, { kid: 'k1' }))).consumer).toMatchObject({ name: 'a' });
    expect((await ask(built, hmacToken(secret, claims))).consumer).toMatchObject({ name: 'a' });
    expect((await ask(built, hmacToken(secret, { ...claims, iss: 'partner-b' }, { kid: 'k1' }))).failure?.reason.code).toBe('jwt-signature');
    expect((await ask(built, hmacToken(secret, { ...claims, iss: 'partner-c' }, { kid: 'k1' }))).failure?.reason.code).toBe('jwt-issuer');
    built.facts.apply(consumerFacts({ name: 'b', tokenKeys: [other] }));
    expect((await ask(built, hmacToken(secret, claims, { kid: 'k1' }))).failure?.reason.code).toBe('jwt-issuer');
  });

  test('are not asked where that is not accepted', async () => {
    const secret = Buffer.alloc(32, 7);
    const built = buildJwt({ issuers: { shop: inline } });
    built.facts.apply(consumerFacts({ name: 'a', tokenKeys: [{ keyId: 'k1', algorithm: 'HS256', key: secret, issuer: 'partner-a' }] }));
    const token = hmacToken(secret, { iss: 'partner-a', aud: 'orders', exp: Math.floor(built.nowMs / 1000) + 60 }, { kid: 'k1' });
    expect((await ask(built, token)).failure?.reason.code).toBe('jwt-issuer');
  });
});

test('a policy that is edited goes on with the tokens that were verified', async () => {
  const facts = new FactBooks();
  const fetched = { issuer: issuer.issuer, audiences: ['orders'] };
  facts.apply({ kind: 'jwks', full: true, facts: new Map([[keySourceName({ issuer: issuer.issuer, uri: '', allowPrivateAddresses: false }), encodeKeySet([issuer.key().jwk()])]]) });
  const before = buildJwt({ issuers: { shop: fetched } }, { factBooks: facts });
  const token = issuer.token({}, { nowMs: before.nowMs });
  await ask(before, token);
  const after = buildJwt({ issuers: { shop: { ...fetched, audiences: ['other'] } } }, { factBooks: facts });
  expect((await ask(after, token)).failure?.reason.code).toBe('jwt-audience');
  expect(after.context.counts.get('jwt_verified')).toBeUndefined();
});
