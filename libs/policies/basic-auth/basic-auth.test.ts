import { scryptSync } from 'node:crypto';
import { WAIT, type EdgeFilter, type Exchange } from '@remora/policy-kit/exchange';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { beforeEach, describe, expect, test } from 'vitest';
import { basicAuthAuthoring } from './compile.ts';
import { basicAuthRuntime } from './filter.ts';
import { passwordLimits } from './password-checks.ts';

testKindCases(import.meta.dirname, basicAuthAuthoring, basicAuthRuntime);

const cost = { cost: 16, blockSize: 8, parallelization: 1 };

let context: TestFilterContext;
beforeEach(() => {
  context = new TestFilterContext('basicAuth');
});

function know(passwords: Readonly<Record<string, string>>, expiresMs = 0): void {
  const salt = Buffer.alloc(16, 3);
  context.factBooks.apply(consumerFacts({
    'consumers.1': { consumers: consumersNamed('app') },
    'basic.1': { passwords: Object.entries(passwords).map(([user, password]) => ({ consumer: 'app', id: user, user, algorithm: 'scrypt', salt, ...cost, hash: scryptSync(password, salt, 32, cost), expiresMs: BigInt(expiresMs) })) },
  }));
}

function build(section: object = { enabled: true }): EdgeFilter {
  const filter = basicAuthRuntime.edge?.(basicAuthRuntime.decode(basicAuthAuthoring.compile(effectiveSection(basicAuthAuthoring, section as never)).body), context);
  if (!filter) throw new Error('no filter');
  return filter;
}

const basic = (text: string, scheme = 'Basic'): string => `${scheme} ${Buffer.from(text).toString('base64')}`;

/** Answers when the filter has decided; whether it had to wait. */
async function ask(filter: EdgeFilter, authorization: string | readonly string[] | null): Promise<{ readonly x: Exchange; readonly waited: boolean }> {
  const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers: authorization === null ? {} : { authorization } } }, context);
  const decided = new Promise<void>((resolve) => {
    x.proceed = () => resolve();
  });
  const waited = filter.request?.(x) === WAIT;
  if (waited) await decided;
  return { x, waited };
}

describe('names and passwords', () => {
  test('that are right prove their consumer, are not forwarded, and are verified once', async () => {
    know({ ana: 'correct horse: ü' });
    const filter = build();
    const first = await ask(filter, basic('ana:correct horse: ü'));
    expect(first).toMatchObject({ waited: true, x: { identity: { consumer: { name: 'app' }, subject: 'ana', failure: null } } });
    expect(headLines(first.x.head).join()).not.toContain('authorization');
    expect(await ask(filter, basic('ana:correct horse: ü', 'bAsIc'))).toMatchObject({ waited: false, x: { identity: { consumer: { name: 'app' } } } });
  });

  test.each([
    ['wrong', basic('ana:wrong-password'), true],
    ['of nobody', basic('eve:password-1'), true],
    ['without a colon', basic('ana'), false],
    ['without a name', basic(':password-1'), false],
    ['with a control character', basic('ana:pass\nword'), false],
    ['not UTF-8', `Basic ${Buffer.from([0x61, 0x3a, 0xff, 0xfe]).toString('base64')}`, false],
    ['not in base64', 'Basic ana:password-1', false],
    ['in base64 that says the same otherwise', 'Basic YW5hOnBhc3N3b3JkLTF', false],
    ['long', basic(`ana:${'x'.repeat(4_000)}`), false],
    ['shown twice', [basic('ana:password-1'), basic('ana:password-1')], false],
    ['beside another scheme', ['Bearer x', basic('ana:password-1')], false],
    ['empty', 'Basic ', false],
  ])('that are %s fail', async (_what, header, waits) => {
    know({ ana: 'password-1' });
    const { x, waited } = await ask(build(), header);
    expect(x.identity).toMatchObject({ consumer: null, failure: { reason: { code: 'basic-auth-invalid' }, fields: [{ name: 'www-authenticate', value: 'Basic realm="remora", charset="UTF-8"' }] } });
    expect(waited).toBe(waits);
    expect(headLines(x.head).join()).not.toContain('authorization');
  });

  test('a changed password ends what was right and what was wrong, at once', async () => {
    know({ ana: 'password-1' });
    const filter = build();
    expect((await ask(filter, basic('ana:password-1'))).x.identity?.consumer?.name).toBe('app');
    expect((await ask(filter, basic('ana:password-2'))).x.identity?.failure?.reason.code).toBe('basic-auth-invalid');
    expect((await ask(filter, basic('ana:password-2'))).waited).toBe(false);
    know({ ana: 'password-2' });
    expect((await ask(filter, basic('ana:password-1'))).x.identity?.failure?.reason.code).toBe('basic-auth-invalid');
    expect((await ask(filter, basic('ana:password-2'))).x.identity?.consumer?.name).toBe('app');
    know({});
    expect((await ask(filter, basic('ana:password-2'))).x.identity?.failure?.reason.code).toBe('basic-auth-invalid');
  });

  test('past their end are said to be so only to who knows them', async () => {
    know({ ana: 'password-1' }, context.clock.wallMs());
    expect((await ask(build(), basic('ana:password-1'))).x.identity?.failure?.reason.code).toBe('basic-auth-expired');
    expect((await ask(build(), basic('ana:password-2'))).x.identity?.failure?.reason.code).toBe('basic-auth-invalid');
  });

  test('other schemes and no header at all are not ours', async () => {
    know({ ana: 'password-1' });
    for (const header of [null, 'Bearer abc', 'Basically x']) expect((await ask(build({ realm: 'shop' }), header)).x.identity).toMatchObject({ failure: null, challenges: ['Basic realm="shop", charset="UTF-8"'] });
  });

  test('nothing is known yet: not the client\'s fault', async () => {
    expect((await ask(build(), basic('ana:x'))).x.identity?.failure).toMatchObject({ status: 503, reason: { code: 'basic-auth-warming' } });
  });
});

describe('verifying', () => {
  test('the same at once is verified once; more than a bound waits for nothing', async () => {
    know({ ana: 'password-1' });
    const filter = build();
    const same = await Promise.all(Array.from({ length: 20 }, () => ask(filter, basic('ana:password-1'))));
    expect(same.every(({ x }) => x.identity?.consumer?.name === 'app')).toBe(true);
    const many = await Promise.all(Array.from({ length: passwordLimits.waiting + passwordLimits.atOnce + 5 }, (_, i) => ask(filter, basic(`ana:wrong-${i}`))));
    expect(many.map(({ x }) => x.identity?.failure?.reason.code).filter((code) => code === 'basic-auth-overload')).toHaveLength(5);
    expect((await ask(filter, basic('ana:password-1'))).x.identity?.consumer?.name).toBe('app');
  }, 60_000);

  test('an exchange that ended meanwhile is left alone', async () => {
    know({ ana: 'password-1' });
    const filter = build();
    const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers: { authorization: basic('ana:password-1') } } }, context);
    expect(filter.request?.(x)).toBe(WAIT);
    x.token += 1;
    await ask(filter, basic('ana:password-1'));
    expect(x.identity?.consumer).toBeNull();
  });

  test('in shadow nothing waits, and the second time it is known', async () => {
    context = new TestFilterContext('basicAuth', { shadow: true });
    know({ ana: 'password-1' });
    const filter = build();
    const shadow = await ask(filter, basic('ana:password-1'));
    expect(shadow).toMatchObject({ waited: false, x: { identity: { consumer: null, failure: null } } });
    await expect.poll(async () => (await ask(filter, basic('ana:password-1'))).x.identity?.consumer?.name).toBe('app');
  });
});
