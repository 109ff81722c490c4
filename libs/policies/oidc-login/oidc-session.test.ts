import { buildResponseHead } from '@remora/http/head-builder';
import { headerId } from '@remora/http/header-ids';
import type { LoginAnswer } from '@remora/policy-kit/tokens/login-question';
import { consumerFacts } from '@remora/testing/consumer-facts';
import { headLines } from '@remora/testing/exchange-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import { TestFilterContext } from '@remora/testing/filter-context';
import type { JsonObject } from '@remora/core/canonical-json';
import { describe, expect, test } from 'vitest';
import { build, issuer, LoginRig } from './testdata/login-rig.ts';

describe('a session', () => {
  test('with any byte changed is none', async () => {
    const rig = new LoginRig();
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
    const rig = new LoginRig();
    await rig.go('/');
    rig.jar.set('__Host-remora', [...rig.jar.values()][0] ?? '');
    expect((await rig.go('/', { accept: '*/*' })).identity.proved).toBe(0);
    await rig.login();
    const others = [build({ clientId: 'other' }, rig.context), build({}, new TestFilterContext('oidcLogin', { factBooks: rig.facts, scope: 'gateway/other/' }))];
    for (const filter of others) expect((await rig.go('/', { accept: '*/*', filter })).identity.proved).toBe(0);
  });

  test('outlives a new key where the former one is named', async () => {
    const rig = new LoginRig();
    await rig.login();
    const keyed = (section: JsonObject): Promise<number> => rig.go('/', { accept: '*/*', filter: build(section, rig.context) }).then(({ identity }) => identity.proved);
    expect(await keyed({ sessionKey: { secret: 'later' } })).toBe(0);
    expect(await keyed({ sessionKey: { secret: 'later' }, formerSessionKey: { secret: 'sessions' } })).not.toBe(0);
  });

  test('is refreshed before its tokens end, once for all who wait, and ends after its lifetime', async () => {
    const rig = new LoginRig({ cookie: { lifetime: '10m' } });
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
    const rig = new LoginRig();
    await rig.login();
    rig.context.timers.advance(afterMs);
    const usual = rig.answer;
    rig.answer = (question) => (question.want === 'refresh' ? answer : usual(question));
    expect((await rig.go('/')).identity.subject).toBe(subject);
  });

  test('that was refreshed comes with the response, which nobody may keep for others', async () => {
    const rig = new LoginRig();
    await rig.login();
    rig.context.timers.advance(275_000);
    const refreshed = await rig.go('/');
    const [cookie = ''] = refreshed.cookies;
    const head = buildResponseHead({ status: 200, headers: [['cache-control', 'public, max-age=600']] });
    rig.filter.response?.(refreshed.x, head);
    expect([head.valueAt(headerId('set-cookie'), 0), head.valueAt(headerId('cache-control'), 0), head.count(headerId('cache-control'))]).toEqual([cookie, 'no-store', 1]);
    const untouched = buildResponseHead({ status: 200, headers: [['cache-control', 'public']] });
    rig.filter.response?.((await rig.go('/')).x, untouched);
    expect(headLines(untouched)).toEqual(['cache-control: public']);
  });

  test('that does not fit any more when it is refreshed ends, and says so', async () => {
    const rig = new LoginRig();
    await rig.login();
    rig.context.timers.advance(275_000);
    rig.claims = { email: 'x'.repeat(4000) };
    expect((await rig.go('/')).identity.failure?.reason.code).toBe('oidc-session-size');
  });

  test('is a cookie of less than 4,096 bytes, however long its name, domain and content', async () => {
    const domain = `${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}.example`.slice(-253);
    const sizes: number[] = [];
    for (let length = 1500; length < 2700; length += 100) {
      const rig = new LoginRig({ cookie: { name: 'n'.repeat(64), domain } });
      rig.claims = { email: 'x'.repeat(length) };
      const { cookies, verdict } = await rig.login();
      if (verdict?.reason.code === 'oidc-redirect') sizes.push(cookies[0]?.length ?? 0);
      else expect(verdict?.reason.code).toBe('oidc-session-size');
    }
    expect(sizes.length).toBeGreaterThan(3);
    expect(sizes.length).toBeLessThan(12);
    expect(Math.max(...sizes)).toBeGreaterThan(3_700);
    expect(Math.max(...sizes)).toBeLessThan(4_096);
  });

  test('belongs to the consumer that has it now', async () => {
    const rig = new LoginRig();
    const consumer = (name: string): void => rig.facts.apply(consumerFacts({ 'consumers.0': { consumers: [{ name, groups: [], plan: '', identities: [{ issuer, claim: 'email', value: 'anna@shop.example' }] }] } }, true));
    consumer('first');
    await rig.login();
    const names: (string | undefined)[] = [];
    for (const name of ['first', 'first', 'second']) {
      consumer(name);
      names.push((await rig.go('/')).identity.consumer?.name);
    }
    expect(names).toEqual(['first', 'first', 'second']);
  });

  test('is taken out of what is forwarded, with logins under way, in every spelling', async () => {
    const rig = new LoginRig();
    await rig.go('/');
    await rig.login();
    const seen = await rig.go('/', { headers: [['cookie', 'a=1;  __Host-remora-login-AAAAAAAA=x ;b=2'], ['cookie', '__Host-remora'], ['cookie', '__Host-remora-other=3']] });
    expect(seen.lines.filter((line) => line.startsWith('cookie'))).toEqual(['cookie: a=1; b=2; __Host-remora-other=3']);
    expect((await rig.go('/')).lines.filter((line) => line.startsWith('cookie'))).toEqual([]);
  });

  test.each([[3_600_000, 'anna', ['refresh']], [-3_600_000, 'anna', []], [9 * 3_600_000, '', []]])('when the clock steps by %d ms: %j, asked are %j', async (stepMs, subject, wants) => {
    const clock = new ManualClock();
    const rig = new LoginRig({}, { clock });
    await rig.login();
    clock.stepWall(stepMs);
    const asked = rig.asked.length;
    expect((await rig.go('/', { accept: '*/*' })).identity.subject).toBe(subject);
    expect(rig.asked.slice(asked).map(({ want }) => want)).toEqual(wants);
  });

  test.each([3_600_000, -3_600_000])('does not begin while the clock is off by %d ms: the ID token is of another time', async (stepMs) => {
    const clock = new ManualClock();
    const rig = new LoginRig({}, { clock });
    const now = rig.nowSeconds;
    clock.stepWall(stepMs);
    rig.claims = { iat: now, exp: now + 300 };
    expect((await rig.login()).verdict?.reason.code).toBe('oidc-token');
  });

  test('is not taken over by another user when it is refreshed', async () => {
    const rig = new LoginRig();
    await rig.login();
    rig.context.timers.advance(275_000);
    rig.claims = { sub: 'mallory' };
    expect((await rig.go('/')).identity.proved).toBe(0);
  });
});
