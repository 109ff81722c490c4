import http from 'node:http';
import http2 from 'node:http2';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import type { Layer } from '@remora/policy-kit/exchange';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { timeoutAuthoring } from '@remora/policy-timeout/compile';
import { freePort } from '@remora/testing/free-port';
import { afterEach, expect, test, vi } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import { GatewayRig } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A gateway before this instance, and what its watch heard of the hosts that calls were given. */
async function start(port: number, timeouts: Record<string, string> = {}): Promise<{ readonly rig: GatewayRig; readonly heard: string[]; readonly url: string }> {
  const heard: string[] = [];
  const layer: Layer = (next) => (call, response) => {
    call.watch = {
      answered: ({ host, hosts }, of, status, grpcStatus) => heard.push(`answered ${status} ${grpcStatus} ${String(of === host && hosts?.hosts.includes(of))}`),
      failed: (_, host, reason, sent) => heard.push(`failed ${reason.code} ${String(sent)} ${host.id}`),
    };
    return next(call, response);
  };
  const timeout = runtimeKinds.get(timeoutAuthoring.name) as RuntimeKind<unknown>;
  const own: RuntimeKind<unknown> = {
    ...timeout,
    layer: (settings, context) => {
      const limits = timeout.layer?.(settings, context) ?? null;
      return limits === null ? layer : (next) => limits(layer(next));
    },
  };
  const rig = await GatewayRig.start({ upstreams: [], endpoints: [{ id: 'one', weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port }] }], timeouts, kinds: new Map(runtimeKinds).set(timeoutAuthoring.name, own) });
  closers.push(() => rig.close());
  return { rig, heard, url: `http://127.0.0.1:${rig.port}/` };
}

async function listening(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    if (server instanceof http.Server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('an answer is told once, with its status', async () => {
  const port = await listening(http.createServer((_, response) => response.writeHead(502).end('no')));
  const { heard, url } = await start(port);
  await (await fetch(url)).text();
  expect(heard).toEqual(['answered 502 -1 true']);
});

test('an answer that breaks off has been told already', async () => {
  const port = await listening(http.createServer((_, response) => {
    response.writeHead(200, { 'content-length': '10' });
    response.write('12345', () => response.destroy());
  }));
  const { heard, url } = await start(port);
  await expect(fetch(url).then((response) => response.text())).rejects.toThrow('terminated');
  expect(heard).toEqual(['answered 200 -1 true']);
});

test('of gRPC the status counts: of the head where it is all, else of the trailers, once they are there', async () => {
  const port = await listening(http.createServer((request, response) => {
    if (request.url === '/head') {
      response.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '14' }).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/grpc', trailer: 'grpc-status' });
    response.write('x');
    if (request.url === '/none') {
      response.end();
      return;
    }
    response.addTrailers({ 'grpc-status': '13' });
    response.end();
  }));
  const { heard, rig } = await start(port);
  const client = http2.connect(`http://127.0.0.1:${rig.port}`);
  for (const path of ['/head', '/trailers', '/none']) {
    const request = client.request({ ':path': path, ':method': 'POST', te: 'trailers', 'content-type': 'application/grpc' });
    request.end('x');
    request.resume();
    await once(request, 'end');
  }
  client.close();
  expect(heard).toEqual(['answered 200 14 true', 'answered 200 13 true', 'answered 200 -1 true']);
});

test('failures say whether the host was given the request', async () => {
  const resetting = await listening(net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
  const one = await start(resetting);
  expect((await fetch(one.url)).status).toBe(502);
  expect(one.heard).toEqual(['failed upstream-reset true one']);
  const other = await start(await freePort());
  expect((await fetch(other.url)).status).toBe(503);
  expect(other.heard).toEqual(['failed connect-failure false one']);
});

test('a host that does not answer in time has failed; one whose client leaves has not', async () => {
  let requests = 0;
  const silent = await listening(http.createServer(() => requests++));
  const impatient = await start(silent, { request: '600ms' });
  expect((await fetch(impatient.url)).status).toBe(504);
  expect(impatient.heard).toEqual(['failed upstream-timeout true one']);
  const { rig, heard } = await start(silent);
  const client = net.connect(rig.port, '127.0.0.1', () => client.write('GET / HTTP/1.1\r\nhost: app\r\n\r\n'));
  await vi.waitUntil(() => requests === 2);
  client.resetAndDestroy();
  await vi.waitUntil(async () => (await rig.leftovers()).active === 0);
  expect(heard).toEqual([]);
});

test('of a host that is gone nobody is told', async () => {
  const held: http.ServerResponse[] = [];
  const port = await listening(http.createServer((_, response) => held.push(response)));
  const { rig, heard, url } = await start(port);
  const answer = fetch(url);
  await vi.waitUntil(() => held.length === 1);
  await rig.setEndpoints([]);
  held[0]?.end('ok');
  expect((await answer).status).toBe(200);
  expect(heard).toEqual([]);
});
