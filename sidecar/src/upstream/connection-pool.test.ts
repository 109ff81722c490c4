import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import type { JsonObject } from '@remora/core/canonical-json';
import { connectionPoolAuthoring } from '@remora/policy-connection-pool/compile';
import { afterEach, expect, test, vi } from 'vitest';
import { GatewayRig, section } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** An instance that answers when it is told to, or at once. */
class Instance {
  readonly sockets = new Set<Socket>();
  readonly held: http.ServerResponse[] = [];
  holds = false;
  connections = 0;
  port = 0;

  static async start(): Promise<Instance> {
    const instance = new Instance();
    const server = http.createServer((_, response) => {
      if (instance.holds) instance.held.push(response);
      else response.end('ok');
    });
    server.on('connection', (socket) => {
      instance.connections++;
      instance.sockets.add(socket);
      socket.on('close', () => instance.sockets.delete(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    instance.port = (server.address() as AddressInfo).port;
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return instance;
  }
}

async function start(settings: JsonObject): Promise<{ readonly rig: GatewayRig; readonly instance: Instance; readonly get: () => Promise<number> }> {
  const instance = await Instance.start();
  const rig = await GatewayRig.start({ upstreams: [instance.port], callers: [section(connectionPoolAuthoring, settings)] });
  closers.push(() => rig.close());
  const get = async (): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${rig.port}/`);
    await response.text();
    return response.status;
  };
  return { rig, instance, get };
}

test('calls beyond connections and pending are refused', async () => {
  const { rig, instance, get } = await start({ connections: 2, pending: 1 });
  instance.holds = true;
  const answers = [get(), get()];
  await vi.waitUntil(() => instance.held.length === 2);
  const waiting = get();
  await vi.waitUntil(async () => (await rig.leftovers()).active === 3);
  expect(await get()).toBe(503);
  await vi.waitUntil(() => rig.refusals.length > 0);
  expect(rig.refusals.map(({ reason }) => reason)).toEqual(['upstream-overflow']);
  instance.holds = false;
  for (const response of instance.held) response.end('ok');
  expect(await Promise.all([...answers, waiting])).toEqual([200, 200, 200]);
  expect(instance.connections).toBe(2);
});

test('a connection serves as many requests as it may', async () => {
  const { instance, get } = await start({ requestsPerConnection: 2 });
  for (let i = 0; i < 5; i++) expect(await get()).toBe(200);
  expect(instance.connections).toBe(3);
});

test('a snapshot with the same settings keeps connections; with others idle ones close, and calls under way go on', async () => {
  const { rig, instance, get } = await start({ connections: 7 });
  await get();
  await rig.apply(rig.candidate({ timeouts: { request: '14s' } }));
  await get();
  expect(instance.connections).toBe(1);
  instance.holds = true;
  const running = get();
  await vi.waitUntil(() => instance.held.length === 1);
  instance.holds = false;
  await get();
  expect(instance.sockets.size).toBe(2);
  await rig.apply(rig.candidate({ callers: [section(connectionPoolAuthoring, { connections: 8 })] }));
  await vi.waitUntil(() => instance.sockets.size === 1);
  instance.held[0]?.end('ok');
  expect(await running).toBe(200);
  await vi.waitUntil(() => instance.sockets.size === 0);
  await get();
  await rig.apply(rig.candidate({ callers: [] }));
  await vi.waitUntil(() => instance.sockets.size === 0);
});

test('connections end at their age', async () => {
  const { instance, get } = await start({ maxAge: '1s', maxAgeJitter: '50%' });
  await get();
  expect(instance.sockets.size).toBe(1);
  await vi.waitUntil(() => instance.sockets.size === 0);
  expect(await get()).toBe(200);
});
