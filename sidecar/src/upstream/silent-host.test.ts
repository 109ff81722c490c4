import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { GatewayRig } from '../testdata/gateway-rig.ts';

/** An instance that answers, until it is told to keep its callers waiting. */
class Instance {
  hangs = false;
  answered = 0;
  readonly held: ServerResponse[] = [];
  readonly server = http.createServer((_, response) => {
    if (this.hangs) {
      this.held.push(response);
      return;
    }
    this.answered++;
    response.end();
  });

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(): Promise<{ readonly instances: readonly [Instance, Instance]; readonly ask: (method?: string) => Promise<number>; readonly url: string }> {
  const instances = [new Instance(), new Instance()] as const;
  const ports = await Promise.all(instances.map((instance) => instance.listen()));
  closers.push(() => {
    for (const { server } of instances) {
      server.closeAllConnections();
      server.close();
    }
  });
  const rig = await GatewayRig.start({ upstreams: [], endpoints: ports.map((port, i) => ({ id: `${i}`, weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port }] })), timeouts: { request: '1h' } });
  closers.push(() => rig.close());
  const url = `http://127.0.0.1:${rig.port}/`;
  return { instances, url, ask: async (method = 'GET') => (await fetch(url, { method, ...(method === 'POST' && { body: 'x' }) })).status };
}

test.each(['GET', 'POST'])('%s: an instance that hangs gets a request or two, however long callers are willing to wait', async (method) => {
  const { instances: [ill, well], ask } = await start();
  while (ill.answered === 0 || well.answered === 0) await ask(method);
  ill.hangs = true;
  const asked: Promise<number>[] = [];
  // One after the other: what the other takes for an answer is always less than the silence of the first. Who answered slowly before may be asked late.
  for (let answers = 0; answers < 200 || ill.held.length === 0;) {
    const before = ill.held.length;
    const one = ask(method).then((status) => {
      answers++;
      return status;
    });
    asked.push(one);
    const sofar = answers;
    await until(() => answers > sofar || ill.held.length > before);
  }
  expect(ill.held.length).toBeLessThanOrEqual(3);
  for (const response of ill.held.splice(0)) response.end();
  expect(new Set(await Promise.all(asked))).toEqual(new Set([200]));
});

test('an answer that goes on for ever is no silence: its instance gets its part', async () => {
  const { instances: [one, other], ask, url } = await start();
  while (one.answered === 0 || other.answered === 0) await ask();
  one.hangs = other.hangs = true;
  const leave = new AbortController();
  const stream = fetch(url, { signal: leave.signal });
  await until(() => one.held.length + other.held.length > 0);
  const streaming = one.held.length > 0 ? one : other;
  streaming.held[0]?.writeHead(200).write('event');
  await stream;
  one.hangs = other.hangs = false;
  const before = streaming.answered;
  // Busier by one: with two at a time at the other it is as good.
  while (streaming.answered === before) await Promise.all([ask(), ask(), ask()]);
  leave.abort();
  await stream.then((response) => response.text()).catch(() => '');
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => { setTimeout(resolve, 1); });
}
