import { Agent } from 'node:http';
import { RedisServer } from '@remora/testing/redis-server';
import { describeWith } from '@remora/testing/requirement';
import { afterEach, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import { FaultProxy } from '../processes/fault-proxy.ts';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { ask, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';

const sidecars = 4;

interface Fleet {
  readonly controlPlane: RunningControlPlane;
  readonly members: RunningSidecar[];
  readonly start: () => Promise<RunningSidecar>;
  /** Asks the sidecars in turn. */
  readonly send: (count: number, more?: Partial<Parameters<typeof ask>[0]>) => Promise<readonly Answer[]>;
  apply(yaml: string): Promise<void>;
}

describeWith('redis-server', 'limits of the fleet, over four sidecars', (command) => {
  let fixture = new Fixture();
  const ends: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    await fixture.end();
    for (const end of ends.splice(0)) await end();
    fixture = new Fixture();
  });

  async function startRedis(): Promise<RedisServer> {
    const redis = await RedisServer.start({ command });
    ends.push(() => redis.kill());
    return redis;
  }

  async function startProxy(port: number): Promise<FaultProxy> {
    const proxy = await FaultProxy.start(port);
    ends.push(() => proxy.close());
    return proxy;
  }

  async function startFleet(redisPort: number, documents: string): Promise<Fleet> {
    const controlPlane = await fixture.controlPlane({ bundled: false, flags: ['--key-storage', 'plain'] });
    const app = await fixture.app('orders');
    await controlPlane.apply([
      '{kind: Service, name: orders, ports: {http: {port: 80}}}',
      `{kind: Mesh, name: mesh, stores: {redis: {address: "127.0.0.1:${redisPort}", allowPrivateAddresses: true, deadline: 1s}}}`,
      documents,
    ].join('\n---\n'));
    const start = (): Promise<RunningSidecar> => fixture.sidecar(['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'], { bundled: false });
    const members = await Promise.all(Array.from({ length: sidecars }, start));
    await untilInSync(controlPlane.api, sidecars);
    const agent = new Agent({ keepAlive: true, maxSockets: 64 });
    ends.push(() => agent.destroy());
    const portOf = (i: number): number => {
      const { inbound, 'inbound/http': http } = members[i % members.length]?.ports ?? {};
      return inbound ?? http ?? 0;
    };
    return {
      controlPlane, members, start,
      send: (count, more = {}) => Promise.all(Array.from({ length: count }, (_, i) => ask({ port: portOf(i), path: '/', agent, ...more }))),
      async apply(yaml) {
        const answer = JSON.stringify(await controlPlane.apply(yaml, '?wait=applied&timeout=60s'));
        if (answer.includes('"timedOut":true') || answer.includes('"refused":[{')) throw new Error(`not enforced: ${answer.slice(0, 1000)}`);
      },
    };
  }

  /** Until each sidecar knows how many there are: the whole of a limit that they divide is what all let in together. */
  async function untilDivided(fleet: Fleet, apply: (attempt: number) => string, expected: number): Promise<readonly Answer[]> {
    let attempt = 0;
    return until('the share of each', async () => {
      await fleet.apply(apply(attempt++));
      return fleet.send(expected * 6);
      // Who is killed is missed when its lease ends, 15 s later.
    }, (answers) => answers.filter(({ status }) => status === 200).length === expected, 60_000);
  }

  /** The same, where a busy machine is no answer of the limit: what could not be counted in time is asked again. */
  async function sendCounted(fleet: Fleet, count: number, more: Parameters<Fleet['send']>[1] = {}): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    for (let missing = count; missing > 0; missing = count - answers.length) answers.push(...(await fleet.send(missing, more)).filter(({ status }) => status !== 503));
    return answers;
  }

  test.each(['fixedWindow', 'slidingWindow', 'tokenBucket'])('%s: of 100 a month exactly 100 pass, wherever they come', async (algorithm) => {
    const redis = await startRedis();
    const fleet = await startFleet(redis.port, `{kind: Policy, name: limit, target: {service: orders}, rateLimit: {limits: {whole: {algorithm: ${algorithm}, requests: 100, per: 30d, sharedBy: fleet, onStoreFailure: closed}}}}`);
    const answers = await sendCounted(fleet, 400);
    expect(tally(answers)).toEqual({ 200: 100, 429: 300 });
    const refused = answers.find(({ status }) => status === 429);
    expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
    // A new number goes on with the same count.
    await fleet.apply(`{kind: Policy, name: limit, target: {service: orders}, rateLimit: {limits: {whole: {algorithm: ${algorithm}, requests: 150, per: 30d, sharedBy: fleet, onStoreFailure: closed}}}}`);
    if (algorithm !== 'tokenBucket') expect(tally(await sendCounted(fleet, 200))[200]).toBe(50);
  });

  test('several limits and keys: what one refuses is not counted by the others', async () => {
    const redis = await startRedis();
    const fleet = await startFleet(redis.port, `{kind: Policy, name: limit, target: {service: orders}, rateLimit: {limits: {
      perTenant: {algorithm: fixedWindow, requests: 10, per: 30d, key: [header.x-tenant], sharedBy: fleet, onStoreFailure: closed}, whole: {algorithm: fixedWindow, requests: 25, per: 30d, sharedBy: fleet, onStoreFailure: closed}}}}`);
    const tallyOf = async (tenant: string): Promise<number | undefined> => {
      // One after the other: what was taken for a request that another limit refuses is given back a moment later.
      let passed = 0;
      for (let i = 0; i < 20; i++) passed += (await sendCounted(fleet, 1, { headers: { 'x-tenant': tenant } }))[0]?.status === 200 ? 1 : 0;
      return passed;
    };
    expect([await tallyOf('a'), await tallyOf('b'), await tallyOf('c')]).toEqual([10, 10, 5]);
  });

  test('divided among live instances, without any store', async () => {
    const redis = await startRedis();
    const fleet = await startFleet(redis.port, '{kind: Policy, name: other, target: {service: orders}, requestId: {echo: always}}');
    const limit = (n: number): string => `{kind: Policy, name: limit, target: {service: orders}, rateLimit: {limits: {whole${n}: {algorithm: fixedWindow, requests: 40, per: 30d, sharedBy: service}}}}`;
    expect(tally(await untilDivided(fleet, limit, 40))[200]).toBe(40);
    // One drains, one is killed, one comes: the parts of the others follow, each rounded down.
    const changes = [
      async () => { await drain(fleet.members.splice(0, 1)); return 39; },
      async () => { await Promise.all(fleet.members.splice(0, 1).map(({ process }) => stop(process))); return 40; },
      async () => { fleet.members.push(await fleet.start()); return 39; },
    ];
    for (const [nth, change] of changes.entries()) {
      const expected = await change();
      expect(tally(await untilDivided(fleet, (attempt) => limit((nth + 1) * 1_000 + attempt), expected))[200]).toBe(expected);
    }
  }, 240_000);

  test.each([
    ['limit', 'rateLimit: {limits: {whole: {algorithm: fixedWindow, requests: 100000, per: 30d, key: [consumer], sharedBy: fleet, onStoreFailure: closed}}}'],
    ['quota', 'quota: {onStoreFailure: closed}'],
  ])('sidecars that drain give back what they hold of a %s: what is counted is what was let in', async (what, section) => {
    const redis = await startRedis();
    const fleet = await startFleet(redis.port, `{kind: Plan, name: large, quotas: {monthly: {requests: 1000000, per: month}}}
---
{kind: Consumer, name: acme, plan: large}
---
{kind: Policy, name: products, target: {service: orders}, apiKey: {keyFrom: [{header: x-api-key}]}, ${section}}`);
    const made = await (await fetch(`${fleet.controlPlane.api}/v1/consumers/acme/credentials/apiKey`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).json() as { readonly secret: string };
    const headers = { 'x-api-key': made.secret };
    let passed = 0;
    await until('the key is known', async () => {
      const answers = await fleet.send(sidecars, { headers });
      passed += tally(answers)[200] ?? 0;
      return answers;
    }, (answers) => answers.every(({ status }) => status === 200));
    passed += tally(await sendCounted(fleet, 200, { headers }))[200] ?? 0;
    const counted = async (): Promise<number> => {
      const reply = await redis.command('EVAL', `local keys = redis.call('KEYS', '*${what}:*acme*') if #keys == 0 then keys = redis.call('KEYS', '*${what}:*') end return redis.call('GET', keys[1])`, 0);
      return Number(/(\d+)$/.exec(reply)?.[1]);
    };
    expect(await counted()).toBeGreaterThan(passed);
    await drain(fleet.members);
    expect(await counted()).toBe(passed);
  });

  test('a store that is gone, or only silent: each onStoreFailure does what it says, and the store is taken back', async () => {
    const redis = await startRedis();
    const proxy = await startProxy(redis.port);
    const fleet = await startFleet(proxy.port, `{kind: Policy, name: limit, target: {service: orders}, rateLimit: {limits: {
      open: {requests: 1, per: 30d, sharedBy: fleet, key: [header.x-try], onStoreFailure: open, match: {paths: [/open]}},
      closed: {requests: 1000, per: 1s, sharedBy: fleet, onStoreFailure: closed, match: {paths: [/closed]}},
      parts: {algorithm: fixedWindow, requests: 40, per: 30d, sharedBy: fleet, key: [header.x-try], match: {paths: [/parts]}}}}}`);
    // Each time with a count of its own: where a busy machine makes the store late, `open` is open, and parts are those that each sidecar knows of.
    let tries = 0;
    const send = (count: number, path: string): Promise<readonly Answer[]> => fleet.send(count, { path, headers: { 'x-try': String(tries++) } });
    await until('the store counts', () => send(8, '/open'), (answers) => answers.filter(({ status }) => status === 200).length === 1);
    for (const fault of ['black-hole', 'reset'] as const) {
      proxy.fault = fault;
      if (fault === 'reset') await redis.kill();
      // Refusals are remembered: where the store said that there is nothing, that holds.
      await until('closed refuses', () => fleet.send(4, { path: '/closed' }), (answers) => answers.every(({ status, headers }) => status === 503 && headers['x-remora-reason'] === 'limit-store-unavailable'));
      if (fault === 'black-hole') await until('each lets in its part', () => send(240, '/parts'), (answers) => answers.filter(({ status }) => status === 200).length === 40);
      if (fault === 'reset') await redis.restart();
      proxy.fault = 'none';
      await until('closed lets pass again', () => fleet.send(4, { path: '/closed' }), (answers) => answers.every(({ status }) => status === 200));
    }
    // The restart has lost the count of what was open, and its scripts.
    expect(tally(await sendCounted(fleet, 40, { path: '/closed' }))).toEqual({ 200: 40 });
  });

  test('a quota is one for all sidecars, outlives them, and is shown and exported', async () => {
    const redis = await startRedis();
    const fleet = await startFleet(redis.port, `{kind: Plan, name: free, quotas: {monthly: {requests: 30, per: month, timeZone: Europe/Berlin}}}
---
{kind: Consumer, name: acme, plan: free}
---
{kind: Policy, name: products, target: {service: orders}, apiKey: {keyFrom: [{header: x-api-key}]}, quota: {onStoreFailure: closed}}`);
    const { api } = fleet.controlPlane;
    const made = await (await fetch(`${api}/v1/consumers/acme/credentials/apiKey`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).json() as { readonly secret: string };
    const headers = { 'x-api-key': made.secret };
    await until('the key is known', () => fleet.send(sidecars, { headers }), (answers) => answers.every(({ status }) => status === 200));
    const usage = async (query = ''): Promise<readonly { readonly used: number; readonly remaining: number }[]> => (await (await fetch(`${api}/v1/usage?consumer=acme${query}`)).json() as { readonly items: readonly { readonly used: number; readonly remaining: number }[] }).items;
    const [before] = await usage();
    const left = before?.remaining ?? 0;
    expect(left).toBeGreaterThan(0);
    const answers = await sendCounted(fleet, 60, { headers });
    expect(tally(answers)).toEqual({ 200: left, 429: 60 - left });
    expect(answers.find(({ status }) => status === 429)?.headers['x-remora-reason']).toBe('quota-exceeded');
    expect(await usage()).toMatchObject([{ consumer: 'acme', plan: 'free', quota: 'monthly', per: 'month', requests: 30, used: 30, remaining: 0 }]);
    expect(await usage('&period=previous')).toMatchObject([{ used: 0 }]);
    // More in the Plan holds at once, and goes on with the count.
    await fleet.apply('{kind: Plan, name: free, quotas: {monthly: {requests: 40, per: month, timeZone: Europe/Berlin}}}');
    let more = 0;
    await until('ten more', async () => { more += tally(await sendCounted(fleet, 8, { headers }))[200] ?? 0; return more; }, (passed) => passed >= 10);
    expect(more).toBe(10);
  });

  test('the store is not taken out of the Mesh while something counts in it', async () => {
    const redis = await startRedis();
    const fleet = await startFleet(redis.port, '{kind: Policy, name: limit, target: {service: orders}, rateLimit: {limits: {whole: {requests: 5, per: 30d, sharedBy: fleet}}}}');
    await expect(fleet.controlPlane.apply('{kind: Mesh, name: mesh}')).rejects.toThrow(/no-store/);
    await fleet.apply('{kind: Policy, name: limit, target: {service: orders}, rateLimit: {limits: {whole: {requests: 5, per: 30d, sharedBy: service}}}}');
    await fleet.apply('{kind: Mesh, name: mesh}');
  });
});

/** As a service manager ends them. */
async function drain(members: readonly RunningSidecar[]): Promise<void> {
  await Promise.all(members.map(({ process }) => new Promise((resolve) => {
    process.once('exit', resolve);
    process.kill('SIGTERM');
  })));
}

function tally(answers: readonly Answer[]): Record<number, number> {
  const found: Record<number, number> = {};
  for (const { status } of answers) found[status] = (found[status] ?? 0) + 1;
  return found;
}
