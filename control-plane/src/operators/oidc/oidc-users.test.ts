import { systemClock, systemTimers } from '@remora/core/clock';
import { hmacToken } from '@remora/testing/test-issuer';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createProcessLog } from '../../process-log.ts';
import { createMemoryStore } from '../../store/memory-store.ts';
import type { Store } from '../../store/store.ts';
import { AuthenticationError } from '../authentication-error.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { OidcUsers } from './oidc-users.ts';
import { readRoleRules } from './role-rules.ts';
import { startIssuer } from './testdata/issuer-server.ts';
import type { IssuerServer } from './testdata/issuer-server.ts';

const rulesText = `
rules:
  - {claim: groups, value: platform, role: admin}
  - {claim: realm.roles, value: orders, role: editor, services: [orders], gateways: [edge]}
  - {everybody: true, role: viewer}
`;

describe('tokens of an issuer', () => {
  let it: IssuerServer;
  let store: Store;
  const opened: IssuerKeys[] = [];
  let aheadMs = 0;
  const clock = { wallMs: () => Date.now() + aheadMs, monotonicMs: () => performance.now() + aheadMs };
  beforeEach(async () => {
    it = await startIssuer();
    store = createMemoryStore({ clock: systemClock });
    aheadMs = 0;
  });
  afterEach(async () => {
    for (const keys of opened.splice(0)) keys.close();
    await it.close();
  });

  function users(text = rulesText): OidcUsers {
    const read = readRoleRules(text);
    if (!read.ok) throw new Error(read.problems.join());
    const keys = new IssuerKeys({ issuer: it.url, store, clock, timers: systemTimers, log: createProcessLog({ level: 'error', clock, write: () => {} }) });
    opened.push(keys);
    return new OidcUsers({ issuer: it.url, audience: 'remora', keys, rules: () => read.rules, clock });
  }
  const token = (claims: Readonly<Record<string, unknown>> = {}, options: Parameters<IssuerServer['issuer']['token']>[1] = {}): string => it.issuer.token({ aud: 'remora', ...claims }, { nowMs: clock.wallMs(), ...options });
  const reasonOf = async (run: Promise<unknown>): Promise<string> => {
    const error = await run.then(() => null, (thrown: unknown) => thrown);
    if (!(error instanceof AuthenticationError)) throw new Error(`expected a refusal, got ${String(error)}`);
    return error.reason;
  };

  test('claims give roles, names and an end; each rule that fits holds by itself', async () => {
    const verified = await users().verify(token({ sub: 'u-1', preferred_username: 'ana', groups: ['staff'], realm: { roles: ['orders', 'x'] } }));
    expect(verified).toEqual({
      kind: 'user', id: `${it.url}#u-1`, name: 'ana', expiresMs: expect.any(Number),
      grants: [{ role: 'editor', scope: { subjects: ['service/orders', 'gateway/edge'] } }, { role: 'viewer', scope: null }],
    });
    expect((await users().verify(token({ groups: 'platform' }))).grants[0]).toEqual({ role: 'admin', scope: null });
  });

  test('nobody is let in by a rule that does not fit, nor by names every object has', async () => {
    const strict = users('rules: [{claim: constructor, value: x, role: viewer}, {claim: __proto__.polluted, value: x, role: viewer}, {claim: groups, value: a, role: viewer}]');
    expect((await strict.verify(token({ groups: ['ab', 'A', ['a']] }))).grants).toEqual([]);
  });

  test('a name that only claims to be somebody\'s: unconfirmed addresses and control characters', async () => {
    expect((await users().verify(token({ sub: 's', email: 'boss@example.com' }))).name).toBe('s');
    expect((await users().verify(token({ sub: 's', email: 'ana@example.com', email_verified: true }))).name).toBe('ana@example.com');
    expect((await users().verify(token({ preferred_username: 'a\u202eb\u0007c\n' }))).name).toBe('a?b?c');
  });

  test.each<[string, (self: IssuerServer) => string, string]>([
    ['expired', () => token({ exp: Math.floor(clock.wallMs() / 1_000) - 61 }), 'expired'],
    ['without an end', () => token({ exp: undefined }), 'refused'],
    ['without a subject', () => token({ sub: undefined }), 'refused'],
    ['not yet good', () => token({ nbf: Math.floor(clock.wallMs() / 1_000) + 120 }), 'refused'],
    ['for somebody else', () => token({ aud: 'other' }), 'refused'],
    ['of another issuer', () => token({ iss: 'https://evil.example' }), 'refused'],
    ['with a changed claim', () => token().replace(/\.(.*)\./, (_, body: string) => `.${Buffer.from(JSON.stringify({ ...(JSON.parse(Buffer.from(body, 'base64url').toString()) as object), sub: 'root' })).toString('base64url')}.`), 'refused'],
    ['without a signature', () => token().replace(/\.[^.]*$/, '.'), 'refused'],
    ['with no algorithm', () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token().split('.')[1]}.`, 'malformed'],
    ['signed with the public key as a secret', (self) => hmacToken(Buffer.from(JSON.stringify(self.issuer.key().jwk())), { iss: self.url, sub: 'x', aud: 'remora', exp: 9_999_999_999 }), 'malformed'],
    ['with a key of its own in the header', (self) => { const own = self.issuer.key('ES256', 'stranger'); return own.sign({ iss: self.url, sub: 'x', aud: 'remora', exp: 9_999_999_999 }, { jwk: own.jwk(), kid: 'ES256-1' }); }, 'refused'],
    ['with an extension that must be understood', (self) => self.issuer.key().sign({ iss: self.url, sub: 'x', aud: 'remora', exp: 9_999_999_999 }, { crit: ['b64'], b64: false }), 'refused'],
    ['that is encrypted', () => `${Buffer.from('{"alg":"RSA-OAEP","enc":"A256GCM"}').toString('base64url')}.a.b.c.d`, 'malformed'],
    ['that is nothing', () => 'abc', 'malformed'],
  ])('%s: refused', async (_what, make, reason) => {
    expect(await reasonOf(users().verify(make(it)))).toBe(reason);
  });

  test('within the leeway of clocks it is good', async () => {
    expect((await users().verify(token({ exp: Math.floor(clock.wallMs() / 1_000) - 30 }))).kind).toBe('user');
  });

  test('is remembered until it ends', async () => {
    const known = users();
    const text = token({ exp: Math.floor(clock.wallMs() / 1_000) + 100 });
    expect(known.known(text)).toBeNull();
    const principal = await known.verify(text);
    expect(known.known(text)).toBe(principal);
    aheadMs = 161_000;
    expect(known.known(text)).toBeNull();
  });

  test('an issuer that is away: the keys are used for a day, also by the next start, and no longer', async () => {
    const text = token({ exp: Math.floor(clock.wallMs() / 1_000) + 200_000 });
    await users().verify(text);
    it.answer = (_, response) => { response.writeHead(500).end(); return true; };
    aheadMs = 3_600_000;
    expect((await users().verify(text)).name).toBe('anna');
    aheadMs = 86_400_000 + 60_000;
    expect(await reasonOf(users().verify(text))).toBe('not-ready');
  });

  test('a new key is asked for once, and not again for each token with a key that nobody has', async () => {
    const own = users();
    await own.verify(token());
    const asked = (): number => it.asked.filter((path) => path === '/keys').length;
    const before = asked();
    const next = it.issuer.key('RS256', 'next');
    aheadMs = 31_000;
    expect((await own.verify(token({}, { key: next }))).kind).toBe('user');
    expect(asked()).toBe(before + 1);
    const stranger = new (next.constructor as typeof import('@remora/testing/test-issuer').TestKey)('ES256', 'stranger');
    for (let n = 0; n < 20; n++) expect(await reasonOf(own.verify(token({}, { key: stranger })))).toBe('refused');
    expect(asked()).toBe(before + 1);
  });

  test.each<[string, NonNullable<IssuerServer['answer']>]>([
    ['redirects', (_, response) => { response.writeHead(302, { location: 'https://evil.example/' }).end(); return true; }],
    ['sends 50 MB', (_, response) => { response.writeHead(200, { 'content-type': 'application/json' }); response.write('{"a":"'); for (let n = 0; n < 50; n++) response.write('x'.repeat(1024 * 1024)); response.end('"}'); return true; }],
    ['calls itself otherwise', (request, response) => { if (request.url === '/keys') return false; response.end(JSON.stringify({ issuer: 'https://evil.example', jwks_uri: `${it.url}/keys` })); return true; }],
    ['leads elsewhere without TLS', (request, response) => { if (request.url === '/keys') return false; response.end(JSON.stringify({ issuer: it.url, jwks_uri: 'http://169.254.169.254/keys' })); return true; }],
    ['has symmetric keys only', (request, response) => { if (request.url !== '/keys') return false; response.end(JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'ES256-1' }] })); return true; }],
    ['sends no JSON', (_, response) => { response.end('<html>'); return true; }],
  ])('an issuer that %s gives no keys', async (_what, answer) => {
    it.answer = answer;
    expect(await reasonOf(users().verify(token()))).toBe('not-ready');
  });
});

describe('rules of roles', () => {
  test.each([
    ['rules: []', '/rules'],
    ['rules: [{role: viewer}]', '/rules/0: expected claim and value, or everybody: true'],
    ['rules: [{claim: a, role: viewer}]', '/rules/0: expected claim and value'],
    ['rules: [{everybody: true, claim: a, value: b, role: viewer}]', '/rules/0: expected claim and value'],
    ['rules: [{everybody: true, role: admin}]', '/rules/0: everybody cannot be an admin'],
    ['rules: [{claim: a, value: b, role: admin, services: [x]}]', '/rules/0: an admin cannot be for some services only'],
    ['rules: [{claim: a, value: b, role: owner}]', '/rules/0/role: expected one of viewer, editor, admin'],
    ['rules: [{claim: a, value: b, role: viewer, service: x}]', '/rules/0'],
    ['a: [', ''],
    ['', '/'],
  ])('%s', (text, problem) => {
    const read = readRoleRules(text);
    expect(read.ok).toBe(false);
    expect(read.ok ? '' : read.problems.join('; ')).toContain(problem);
  });
});
