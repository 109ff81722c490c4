import { systemClock } from '@remora/core/clock';
import { beforeEach, describe, expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { makeApiToken } from './api-token-text.ts';
import { ApiTokens } from './api-tokens.ts';
import { AuthenticationError } from './authentication-error.ts';
import { Authenticator } from './authenticator.ts';
import { FailureLimiter, failureLimits, networkOf } from './failure-limiter.ts';
import { FirstToken } from './first-token.ts';

describe('who is let in', () => {
  let nowMs: number;
  let tokens: ApiTokens;
  let limiter: FailureLimiter;
  let door: Authenticator;
  let seen: string[];
  const clock = { wallMs: () => 1_800_000_000_000 + nowMs, monotonicMs: () => nowMs };
  beforeEach(() => {
    nowMs = 0;
    const store = createMemoryStore({ clock: systemClock });
    tokens = new ApiTokens({ store, clock });
    limiter = new FailureLimiter(clock);
    seen = [];
    door = new Authenticator({ tokens, first: new FirstToken(store), users: null, limiter, events: { admitted: ({ name }, address) => void seen.push(`${name} ${address}`), refused: (reason, address, id) => void seen.push(`${reason} ${address} ${id}`) } });
  });
  const make = (ttlMs = 60_000): string => tokens.create({ name: 'ci', grant: { role: 'editor', scope: { subjects: ['service/orders'] } }, ttlMs, author: 'ana' }).text;
  const ask = async (headers: readonly (readonly [string, string])[], url = '/v1/services', address = '10.0.0.7'): Promise<string> => {
    try {
      const { kind, name } = await door.authenticate({ rawHeaders: headers.flat(), url, address });
      return `${kind} ${name}`;
    } catch (error) {
      if (!(error instanceof AuthenticationError)) throw error;
      return error.reason;
    }
  };
  const bearer = (token: string): readonly (readonly [string, string])[] => [['Authorization', `Bearer ${token}`]];

  test('a token of ours, by any spelling of scheme and field', async () => {
    const token = make();
    for (const headers of [bearer(token), [['authorization', `bearer ${token}`]], [['AUTHORIZATION', `BEARER ${token}`]]] as const) expect(await ask(headers)).toBe('token ci');
    expect(seen).toEqual(['ci 10.0.0.7', 'ci 10.0.0.7', 'ci 10.0.0.7']);
  });

  test.each<[string, (token: string) => readonly (readonly [string, string])[], string, string]>([
    ['nothing', () => [], '/', 'missing'],
    ['in the query', () => [], '/v1/services?access_token=TOKEN', 'missing'],
    ['in another header', (token) => [['x-api-key', token]], '/', 'missing'],
    ['in a cookie', (token) => [['cookie', `token=${token}`]], '/', 'missing'],
    ['of a proxy', (token) => [['proxy-authorization', `Bearer ${token}`]], '/', 'missing'],
    ['two of them', (token) => [...bearer(token), ...bearer(token)], '/', 'twice'],
    ['two of them, one empty', (token) => [['authorization', ''], ...bearer(token)], '/', 'twice'],
    ['two in one', (token) => [['authorization', `Bearer ${token}, Bearer ${token}`]], '/', 'malformed'],
    ['Basic', (token) => [['authorization', `Basic ${Buffer.from(`x:${token}`).toString('base64')}`]], '/', 'not-bearer'],
    ['no scheme', (token) => [['authorization', token]], '/', 'not-bearer'],
    ['no token', () => [['authorization', 'Bearer']], '/', 'malformed'],
    ['an empty token', () => [['authorization', 'Bearer ']], '/', 'malformed'],
    ['two spaces', (token) => [['authorization', `Bearer  ${token}`]], '/', 'malformed'],
    ['something behind', (token) => [['authorization', `Bearer ${token} x`]], '/', 'malformed'],
    ['a quote', (token) => [['authorization', `Bearer "${token}"`]], '/', 'malformed'],
    ['too long', () => bearer('a'.repeat(9_000)), '/', 'malformed'],
    ['cut by one', (token) => bearer(token.slice(0, -1)), '/', 'malformed'],
    ['cut to its id', (token) => bearer(token.split('.').slice(0, 2).join('.')), '/', 'malformed'],
    ['without its checksum', (token) => bearer(token.split('.').slice(0, 3).join('.')), '/', 'malformed'],
    ['another checksum', (token) => bearer(token.replace(/.$/, (last) => (last === '0' ? '1' : '0'))), '/', 'malformed'],
    ['another letter in the secret', (token) => bearer(token.replace(/^(rma1\.[^.]+\.)(.)/, (_, before: string, one: string) => before + (one === 'A' ? 'B' : 'A'))), '/', 'malformed'],
    ['another case', (token) => bearer(token.toUpperCase()), '/', 'refused'],
    ['another prefix', (token) => bearer(token.replace('rma1', 'rma2')), '/', 'refused'],
    ['a join token', () => bearer('rmj1.a.b.c.remora.local'), '/', 'refused'],
    ['a whole one that nobody made', () => bearer(makeApiToken().text), '/', 'refused'],
    ['a prototype', () => bearer('__proto__'), '/', 'refused'],
  ])('%s: refused', async (_what, headers, url, reason) => {
    const token = make();
    expect(await ask(headers(token), url.replace('TOKEN', token))).toBe(reason);
    expect(seen).toEqual([expect.stringMatching(new RegExp(`^${reason} 10\\.0\\.0\\.7 `))]);
  });

  test('expired, revoked, and another secret for a good id', async () => {
    const [expiring, revoked, good] = [make(60_000), make(), make()];
    const idOf = (token: string): string => token.split('.')[1] ?? '';
    nowMs = 30_000;
    tokens.revoke(idOf(revoked));
    expect(await ask(bearer(revoked))).toBe('revoked');
    nowMs = 60_000;
    expect(await ask(bearer(expiring))).toBe('expired');
    // What became of a token is told only to who has its secret.
    const { parts } = makeApiToken();
    expect(tokens.check({ id: idOf(revoked), secret: parts.secret })).toMatchObject({ ok: false, code: 'unknown' });
    expect(tokens.check({ id: idOf(good), secret: parts.secret })).toMatchObject({ ok: false, code: 'unknown' });
  });

  test('nothing of a secret is in the store', () => {
    const store = createMemoryStore({ clock: systemClock });
    const own = new ApiTokens({ store, clock });
    const { text, status } = own.create({ name: 'ci', grant: { role: 'admin', scope: null }, ttlMs: 60_000, author: 'ana' });
    const kept = JSON.stringify([...store.records('operators.tokens')]);
    expect(kept).toContain(status.id);
    expect(kept).not.toContain(text.split('.')[2]);
    expect(JSON.stringify(own.list())).not.toMatch(/hash|secret/);
  });

  test('a scope that cannot be read from the store is no token, and never one for everything', () => {
    const store = createMemoryStore({ clock: systemClock });
    new ApiTokens({ store, clock }).create({ name: 'ci', grant: { role: 'editor', scope: { subjects: ['service/a'] } }, ttlMs: 60_000, author: 'ana' });
    for (const subjects of [[], ['nothing'], 'service/a', undefined]) {
      const [[id, record] = ['', {}]] = store.records('operators.tokens');
      const { subjects: _, ...rest } = record;
      store.putRecords('operators.tokens', new Map([[id, subjects === undefined ? rest : { ...rest, subjects }]]));
      expect(new ApiTokens({ store, clock }).list(), JSON.stringify(subjects)).toEqual([]);
    }
  });

  test('the last use is known, and is kept over a restart', async () => {
    const store = createMemoryStore({ clock: systemClock });
    const own = new ApiTokens({ store, clock });
    const { status: { id } } = own.create({ name: 'ci', grant: { role: 'viewer', scope: null }, ttlMs: 3_600_000, author: 'ana' });
    expect(own.find(id)?.lastUsed).toBeNull();
    own.used(id, '10.0.0.7');
    nowMs = 10_000;
    own.used(id, '10.0.0.8');
    expect(own.find(id)?.lastUsed).toEqual({ atMs: clock.wallMs(), address: '10.0.0.8' });
    expect(new ApiTokens({ store, clock }).find(id)?.lastUsed).toMatchObject({ address: '10.0.0.7' });
    nowMs = 70_000;
    own.used(id, '10.0.0.8');
    expect(new ApiTokens({ store, clock }).find(id)?.lastUsed).toMatchObject({ address: '10.0.0.8' });
  });

  test('failures are free, then wait longer and longer, up to a bound; other addresses, and who is known, wait for nothing', async () => {
    const token = make(3_600_000);
    const waits: number[] = [];
    for (let n = 0; n < 25; n++) {
      expect(await ask(bearer(makeApiToken().text))).toBe('refused');
      waits.push(limiter.waitMs('10.0.0.7'));
      if ((waits.at(-1) ?? 0) > 0) {
        expect(await ask(bearer(makeApiToken().text))).toBe('locked');
        expect(await ask(bearer(makeApiToken().text), '/', '10.0.0.8')).toBe('refused');
        expect(await ask(bearer(token))).toBe('token ci');
        expect(await ask([])).toBe('missing');
        nowMs += waits.at(-1) ?? 0;
      }
    }
    expect(waits.slice(0, 10)).toEqual(Array(10).fill(0));
    expect(waits.slice(10, 14)).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(Math.max(...waits)).toBe(failureLimits.longestMs);
    nowMs += failureLimits.forgetMs + failureLimits.longestMs;
    expect(await ask(bearer(makeApiToken().text))).toBe('refused');
    expect(limiter.waitMs('10.0.0.7')).toBe(0);
  });

  test('addresses remembered are bounded, and an IPv6 network is one address', () => {
    for (let n = 0; n < failureLimits.addressesMax + 50; n++) limiter.failed(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    expect([limiter.addresses, limiter.forgotten]).toEqual([failureLimits.addressesMax, 50]);
    expect(networkOf('2001:db8:0:1:aaaa::1')).toBe(networkOf('2001:DB8::1:ffff:1:2:3'));
    expect(networkOf('2001:db8:0:1::1')).not.toBe(networkOf('2001:db8:0:2::1'));
    expect(networkOf('::ffff:10.0.0.7')).toBe('10.0.0.7');
    expect(networkOf('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
  });

  test('an id that nobody has costs what another secret of a known one costs', () => {
    const known = make().split('.')[1] ?? '';
    const time = (id: string): number => {
      const { parts } = makeApiToken();
      const from = process.cpuUsage();
      for (let n = 0; n < 4_000; n++) tokens.check({ id, secret: parts.secret });
      const { user, system } = process.cpuUsage(from);
      return user + system;
    };
    time(known);
    time('unknown');
    const pairs = Array.from({ length: 9 }, () => time(known) / Math.max(1, time('aaaaaaaaaaaa'))).sort((a, b) => a - b);
    // The median of nine: both hash once and compare once.
    expect(pairs[4]).toBeGreaterThan(0.4);
    expect(pairs[4]).toBeLessThan(2.5);
  });
});
