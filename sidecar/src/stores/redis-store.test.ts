import { systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import type { Counting, StoreAnswer, StoreAsk } from '@remora/policy-kit/store/store-questions';
import type { RedisSettings } from '@remora/snapshot/snapshot';
import { RedisServer } from '@remora/testing/redis-server';
import { describeWith } from '@remora/testing/requirement';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createRedisClient } from './redis-client.ts';
import { RedisStore, storeKey } from './redis-store.ts';

const plain: RedisSettings = {
  mode: 'single', addresses: [], master: '', tls: null, username: '', passwordSecret: '', sentinelUsername: '', sentinelPasswordSecret: '', database: 0, keyPrefix: 't:', deadlineMs: 1_000,
  allowPrivateAddresses: true,
};

/** Windows so long that none ends while a test counts in it. */
const monthMs = 30 * 86_400_000;

function askOf(counting: Counting, more: Partial<StoreAsk> = {}): StoreAsk {
  return { counting, name: 'inbound/orders/x', identity: `${counting} ${Math.random()}`, requests: 10, perMs: monthMs, burst: counting === 'bucket' ? 10 : 0, cost: 1, want: 1, untilMs: Date.now() + 60_000, ...more };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const before = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > before) throw new Error(`${what} has not come`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

describeWith('redis-server', 'counts in Redis', (command) => {
  const stores: RedisStore[] = [];
  let server: RedisServer;

  async function open(settings: Partial<RedisSettings> = {}, password = ''): Promise<RedisStore> {
    const random = seededRandom(3);
    const all = { ...plain, addresses: [`127.0.0.1:${server.port}`], ...settings };
    const client = await createRedisClient(all, { redis: password, sentinel: '' }, () => random.next());
    const store = new RedisStore({ client, keyPrefix: all.keyPrefix, deadlineMs: all.deadlineMs, timers: systemTimers, onTrouble: () => {} });
    stores.push(store);
    return store;
  }

  async function openReady(): Promise<RedisStore> {
    const store = await open();
    await until('the connection', () => store.ready);
    return store;
  }

  async function take(store: RedisStore, one: StoreAsk): Promise<StoreAnswer> {
    const [answer] = await store.take([one]);
    if (!answer) throw new Error('nothing was answered');
    return answer;
  }

  beforeAll(async () => {
    server = await RedisServer.start({ command });
  });
  afterEach(() => {
    for (const store of stores.splice(0)) store.close();
  });
  afterAll(() => server.kill());

  describe('every counting', () => {
    test.each(['bucket', 'fixed', 'sliding', 'total'] as const)('%s gives what the limit is and no more, whatever is wished for', async (counting) => {
      const store = await openReady();
      const ask = askOf(counting);
      expect((await take(store, { ...ask, want: 4 })).granted).toBe(4);
      let granted = 4;
      for (let i = 0; i < 20; i++) granted += (await take(store, ask)).granted;
      expect(granted).toBe(10);
      const refused = await take(store, ask);
      expect(refused).toMatchObject({ granted: 0, remaining: 0 });
      if (counting !== 'total') expect(refused.retryAfterMs).toBeGreaterThan(0);
    });

    test.each(['bucket', 'fixed', 'sliding', 'total'] as const)('%s: what is given back can be taken again, once', async (counting) => {
      const store = await openReady();
      const ask = askOf(counting, { requests: 2, burst: 2 });
      for (let i = 0; i < 2; i++) await take(store, ask);
      await take(store, { ...ask, want: -1 });
      expect([(await take(store, ask)).granted, (await take(store, ask)).granted]).toEqual([1, 0]);
      await take(store, { ...ask, want: -100 });
      let granted = 0;
      for (let i = 0; i < 5; i++) granted += (await take(store, ask)).granted;
      expect(granted).toBe(2);
    });

    test.each([['fixed', 0], ['sliding', 1]] as const)('%s: what is given back to a window that is over is none of the next', async (counting, before) => {
      const store = await openReady();
      const ask = askOf(counting);
      const { window = 0 } = await take(store, { ...ask, want: 4 });
      const key = `t:${storeKey(ask)}`;
      const counted = async (): Promise<string> => (await server.command('GET', key)).split('\r\n').at(-1) ?? '';
      const back = { ...ask, want: -3 };
      await take(store, { ...back, window: window - 2 });
      expect(await counted()).toMatch(new RegExp(`${window}:4${counting === 'sliding' ? ':0' : ''}$`));
      if (before === 1) {
        await server.command('SET', key, `${window}:4:5`);
        await take(store, { ...back, window: window - 1 });
        expect(await counted()).toMatch(new RegExp(`${window}:4:2$`));
      } else {
        await take(store, { ...back, window: window - 1 });
        expect(await counted()).toMatch(new RegExp(`${window}:4$`));
      }
      await take(store, { ...back, window });
      expect(await counted()).toMatch(new RegExp(`${window}:1(?::2)?$`));
    });

    test.each(['bucket', 'queue', 'fixed', 'sliding', 'total'] as const)('%s: what cannot be read counts as none, a key of another type as no answer of that key alone', async (counting) => {
      const store = await openReady();
      const [garbage, list] = [askOf(counting), askOf(counting)];
      await server.command('SET', `t:${storeKey(garbage)}`, 'nonsense');
      await server.command('RPUSH', `t:${storeKey(list)}`, 'x');
      const [first, second] = await store.take([garbage, list]);
      expect(first?.granted).toBe(1);
      expect(second).toBeNull();
    });

    test.each(['bucket', 'queue', 'fixed', 'sliding', 'total'] as const)('%s: keys are forgotten by themselves', async (counting) => {
      const store = await openReady();
      const ask = askOf(counting, { perMs: 10_000 });
      await take(store, ask);
      const left = Number((await server.command('PTTL', `t:${storeKey(ask)}`)).slice(1));
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(60_000);
    });

    test.each(['bucket', 'fixed', 'sliding'] as const)('%s: a cost that does not fit takes nothing', async (counting) => {
      const store = await openReady();
      const ask = askOf(counting, { cost: 4, want: 4 });
      expect((await take(store, ask)).granted + (await take(store, ask)).granted).toBe(8);
      expect((await take(store, ask)).granted).toBe(0);
      expect((await take(store, { ...ask, cost: 1, want: 4 })).granted).toBe(2);
    });
  });

  test('a leaky bucket gives each its turn, and refuses beyond its queue', async () => {
    const store = await openReady();
    const ask = askOf('queue', { requests: 1, perMs: 60_000, burst: 2 });
    const answers = [await take(store, ask), await take(store, ask), await take(store, ask), await take(store, ask)];
    expect(answers.map(({ granted }) => granted)).toEqual([1, 1, 1, 0]);
    expect(answers[0]?.waitMs).toBe(0);
    expect(answers[1]?.waitMs).toBeGreaterThan(30_000);
    expect(answers[2]?.waitMs).toBeGreaterThan(90_000);
  });

  test('a clock that went back locks nobody out for longer than the limit', async () => {
    const store = await openReady();
    const bucket = askOf('bucket', { requests: 10, perMs: 1_000, burst: 10 });
    await server.command('SET', `t:${storeKey(bucket)}`, String(Date.now() + 86_400_000));
    expect((await take(store, bucket)).retryAfterMs).toBeLessThan(1_000);
    const fixed = askOf('fixed');
    await server.command('SET', `t:${storeKey(fixed)}`, `${Math.floor(Date.now() / fixed.perMs) + 24}:10`);
    expect((await take(store, fixed)).granted).toBe(1);
  });

  test('several sidecars count as one', async () => {
    const four = [await openReady(), await openReady(), await openReady(), await openReady()];
    const ask = askOf('fixed', { requests: 100 });
    const answers = await Promise.all(Array.from({ length: 400 }, (_, i) => take(four[i % 4] as RedisStore, ask)));
    expect(answers.reduce((sum, { granted }) => sum + granted, 0)).toBe(100);
  });

  test('scripts that a restart lost are given again', async () => {
    const store = await openReady();
    const ask = askOf('bucket');
    await take(store, ask);
    await server.command('SCRIPT', 'FLUSH');
    expect((await take(store, ask)).granted).toBe(1);
    await server.restart();
    await until('the connection', async () => store.ready && (await store.take([ask]).then(() => true, () => false)));
  });

  test.each([
    ['with a log that is flushed, what was counted survives', ['--appendonly', 'yes', '--appendfsync', 'always'], 4],
    ['without persistence counts begin anew', [], 10],
  ] as const)('a restart of Redis: %s', async (_what, more, left) => {
    const durable = await RedisServer.start({ command, arguments: more });
    try {
      const store = await open({ addresses: [`127.0.0.1:${durable.port}`] });
      await until('the connection', () => store.ready);
      const ask = askOf('total', { untilMs: Date.now() + 86_400_000 });
      expect((await take(store, { ...ask, want: 6 })).granted).toBe(6);
      await durable.restart();
      await until('an answer', () => store.take([]).then(() => true, () => false));
      let granted = 0;
      while ((await take(store, ask)).granted > 0) granted += 1;
      expect(granted).toBe(left);
    } finally {
      await durable.kill();
    }
  });

  test('a server that hangs fails within the deadline, and serves again when it goes on', async () => {
    const store = await open({ deadlineMs: 50 });
    await until('the connection', () => store.ready);
    server.pause();
    await expect(store.take([askOf('bucket')])).rejects.toThrow(/no answer within 50 ms|not connected/);
    server.resume();
    await until('answers', () => store.take([askOf('bucket')]).then(() => true, () => false));
  });

  test('no connection is a failure at once, nothing is queued', async () => {
    const store = await open({ addresses: ['127.0.0.1:1'] });
    await expect(store.take([askOf('bucket')])).rejects.toThrow(/not connected|ECONNREFUSED/);
    await until('a word about it', () => store.trouble.includes('ECONNREFUSED'));
  });

  test('a private address needs to be allowed', async () => {
    const store = await open({ tls: { serverName: '', caFiles: [] }, allowPrivateAddresses: false });
    await until('a word about it', () => store.trouble.includes('allowPrivateAddresses'));
  });

  test('a wrong password is a trouble that is named; the right one serves', async () => {
    const guarded = await RedisServer.start({ command, arguments: ['--requirepass', 'sesame'] });
    try {
      const addresses = [`127.0.0.1:${guarded.port}`];
      const wrong = await open({ addresses }, 'wrong');
      await until('a word about it', () => /WRONGPASS|NOAUTH|invalid/i.test(wrong.trouble));
      const right = await open({ addresses }, 'sesame');
      await until('the connection', () => right.ready);
      expect((await take(right, askOf('fixed'))).granted).toBe(1);
    } finally {
      await guarded.kill();
    }
  });
});

test('keys say what is counted, and not by what clients sent', () => {
  expect(storeKey({ counting: 'bucket', name: 'inbound/orders/perKey', identity: 'secret' })).toMatch(/^limit:inbound\/orders\/perKey:[0-9a-f]{32}$/);
});
