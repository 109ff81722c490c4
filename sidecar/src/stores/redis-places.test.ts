import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import type { StoreAsk } from '@remora/policy-kit/store/store-questions';
import type { RedisSettings } from '@remora/snapshot/snapshot';
import { redisCommand, RedisServer } from '@remora/testing/redis-server';
import { describeWith } from '@remora/testing/requirement';
import { TestAuthority } from '@remora/testing/test-authority';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { afterEach, expect, test } from 'vitest';
import { createRedisClient } from './redis-client.ts';
import { RedisStore } from './redis-store.ts';

const plain: RedisSettings = {
  mode: 'single', addresses: [], master: '', tls: null, username: '', passwordSecret: '', sentinelUsername: '', sentinelPasswordSecret: '', database: 0, keyPrefix: 't:', deadlineMs: 1_000,
  allowPrivateAddresses: true,
};
const ask: StoreAsk = { counting: 'fixed', name: 'inbound/orders/x', identity: 'x', requests: 10, perMs: 30 * 86_400_000, burst: 0, cost: 1, want: 1, untilMs: 0 };

async function until<T>(what: string, look: () => Promise<T>, holds: (seen: T) => boolean): Promise<T> {
  const before = Date.now() + 30_000;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > before) throw new Error(`${what} has not come; last seen: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

describeWith('redis-server', 'where Redis is', (command) => {
  const ends: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  async function server(...more: string[]): Promise<RedisServer> {
    const started = await RedisServer.start({ command, arguments: more });
    ends.push(() => started.kill());
    return started;
  }

  async function open(settings: Partial<RedisSettings>): Promise<RedisStore> {
    const random = seededRandom(5);
    const client = await createRedisClient({ ...plain, ...settings }, { redis: '', sentinel: '' }, () => random.next());
    const store = new RedisStore({ client, keyPrefix: 't:', deadlineMs: plain.deadlineMs, timers: systemTimers, onTrouble: () => {} });
    ends.push(() => store.close());
    return store;
  }

  /** What was granted; -1: nobody answers. */
  const granted = (store: RedisStore, more: Partial<StoreAsk> = {}): Promise<number> => store.take([{ ...ask, ...more }]).then(([answer]) => answer?.granted ?? -1, () => -1);

  test('a Cluster: keys are counted on the node that has them, over redirections', async () => {
    const nodes = await Promise.all([server('--cluster-enabled', 'yes'), server('--cluster-enabled', 'yes')]);
    const [first, second] = nodes;
    await first.command('CLUSTER', 'ADDSLOTSRANGE', 0, 8_191);
    await second.command('CLUSTER', 'ADDSLOTSRANGE', 8_192, 16_383);
    await first.command('CLUSTER', 'MEET', '127.0.0.1', second.port);
    await until('the cluster', () => Promise.all(nodes.map((node) => node.command('CLUSTER', 'INFO'))), (infos) => infos.every((info) => info.includes('cluster_state:ok')));
    // One node is enough to find the others.
    const store = await open({ mode: 'cluster', addresses: [`127.0.0.1:${first.port}`] });
    await until('an answer', () => granted(store), (one) => one === 1);
    const others = await Promise.all(Array.from({ length: 40 }, (_, i) => granted(store, { identity: `key ${i}` })));
    expect(others).toEqual(Array.from({ length: 40 }, () => 1));
    const keys = await Promise.all(nodes.map(async (node) => Number((await node.command('DBSIZE')).slice(1))));
    expect(keys.every((count) => count > 0)).toBe(true);
    // Several limits of one request may be on different nodes.
    expect((await store.take(Array.from({ length: 8 }, (_, i) => ({ ...ask, identity: `key ${i}` })))).map((answer) => answer?.granted)).toEqual(Array.from({ length: 8 }, () => 1));
  }, 60_000);

  test('Sentinels: the master that they name; after a failover the other one', async () => {
    const [master, replica] = [await server(), await server()];
    await replica.command('REPLICAOF', '127.0.0.1', master.port);
    await until('the replica', () => replica.command('ROLE'), (role) => role !== '' && role.startsWith('*'));
    const config = path.join(scratchFolder('sentinel'), 'sentinel.conf');
    writeFileSync(config, `sentinel monitor counts 127.0.0.1 ${master.port} 1\nsentinel down-after-milliseconds counts 500\nsentinel failover-timeout counts 3000\n`);
    const sentinel = await RedisServer.start({ command, sentinel: config });
    ends.push(() => sentinel.kill());
    await until('the sentinel knows the replica', () => sentinel.command('SENTINEL', 'replicas', 'counts'), (text) => text.startsWith('*1'));
    const store = await open({ mode: 'sentinel', addresses: ['127.0.0.1:1', `127.0.0.1:${sentinel.port}`], master: 'counts' });
    await until('an answer', () => granted(store), (one) => one === 1);
    expect(await redisCommand(master.port, 'DBSIZE')).toBe(':1');
    await master.kill();
    expect(await granted(store)).toBe(-1);
    await until('an answer of the new master', () => granted(store, { identity: 'after' }), (one) => one === 1);
    expect(Number((await replica.command('DBSIZE')).slice(1))).toBeGreaterThan(0);
  }, 90_000);

  test('TLS: by whom and by which name it must be; else nothing is sent', async () => {
    const [authority, other] = [new TestAuthority(), new TestAuthority('another')];
    const folder = scratchFolder('redis-tls');
    const file = (name: string, text: string): string => {
      writeFileSync(path.join(folder, name), text);
      return path.join(folder, name);
    };
    const certificate = authority.issue({ dns: ['redis.shop.example'] });
    const ca = file('ca.pem', authority.cert);
    const plainly = await server();
    await plainly.command('CONFIG', 'SET', 'tls-cert-file', file('cert.pem', certificate.cert), 'tls-key-file', file('key.pem', certificate.key), 'tls-ca-cert-file', ca, 'tls-auth-clients', 'no');
    const free = await RedisServer.start({ command });
    await free.kill();
    await plainly.command('CONFIG', 'SET', 'tls-port', free.port);
    const addresses = [`127.0.0.1:${free.port}`];
    const good = await open({ addresses, tls: { serverName: 'redis.shop.example', caFiles: [ca] } });
    await until('an answer', () => granted(good), (one) => one === 1);
    const strange = await open({ addresses, tls: { serverName: 'redis.shop.example', caFiles: [file('other.pem', other.cert)] } });
    await until('a word about it', () => Promise.resolve(strange.trouble), (trouble) => /certificate/.test(trouble));
    const misnamed = await open({ addresses, tls: { serverName: 'other.shop.example', caFiles: [ca] } });
    await until('a word about it', () => Promise.resolve(misnamed.trouble), (trouble) => /altnames|does not match/.test(trouble));
    expect([await granted(strange), await granted(misnamed)]).toEqual([-1, -1]);
  }, 60_000);

  test('a master that became a replica answers READONLY, and is left', async () => {
    const [other, demoted] = [await server(), await server()];
    const store = await open({ addresses: [`127.0.0.1:${demoted.port}`] });
    await until('an answer', () => granted(store), (one) => one === 1);
    await demoted.command('REPLICAOF', '127.0.0.1', other.port);
    await until('no answer', () => granted(store), (one) => one === -1);
    await demoted.command('REPLICAOF', 'NO', 'ONE');
    await until('an answer again', () => granted(store), (one) => one >= 0);
  }, 60_000);
});
