import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { DelayLine } from '../testdata/delay-line.ts';
import { endpointOf } from '../testdata/exchange-server.ts';
import { GatewayRig, endpointAt } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const usualWindow = 256 * 1024;
const length = 12 * 1024 * 1024;
/** There and back takes 240 ms: a usual window is used up within a fraction of it, however slow the machine is. */
const oneWayMs = 120;

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function start(endpoint: ReturnType<typeof endpointAt>): Promise<GatewayRig> {
  const gateway = await GatewayRig.start({ upstreams: [], endpoints: [endpoint], limits: { bodyBytes: '1GiB' } });
  closers.push(() => gateway.close());
  return gateway;
}

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`).on('error', () => {});
  closers.push(() => session.destroy());
  return session;
}

function* pieces(): Generator<Buffer> {
  for (let at = 0; at < length; at += 65_536) yield Buffer.alloc(65_536, at >> 16);
}

async function extraBytes(gateway: GatewayRig): Promise<number> {
  const { threads } = (await gateway.plane.describe()) as { threads: { http2Windows: { extraBytes: number } }[] };
  return threads[0]?.http2Windows.extraBytes ?? -1;
}

describe('over a long way', () => {
  it('an upload has more under way than a usual window holds, and gives it back', async () => {
    let received = 0;
    const app = http.createServer((request, response) => {
      request.on('data', (bytes: Buffer) => {
        received += bytes.length;
      });
      request.on('end', () => response.end('ok'));
    });
    const gateway = await start(endpointAt(await portOf(app)));
    const line = await DelayLine.start(gateway.port, oneWayMs);
    closers.push(() => line.close());
    const session = connect(line.port);
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    const answered = new Promise((resolve) => stream.resume().once('end', resolve));
    for (const piece of pieces()) if (!stream.write(piece)) await once(stream, 'drain');
    stream.end();
    await answered;
    expect(received).toBe(length);
    expect(line.peakThere).toBeGreaterThan(3 * usualWindow);
    expect(gateway.plane.readPolicyEvents().get('http2_window-grown')).toBeGreaterThan(1);
    session.destroy();
    await vi.waitFor(async () => expect(await extraBytes(gateway)).toBe(0), { timeout: 30_000 });
  });

  it('a download from an instance has, too', async () => {
    const app = http2.createServer();
    app.on('stream', (stream: http2.ServerHttp2Stream) => {
      stream.respond({ ':status': 200 });
      void pipeline(Readable.from(pieces()), stream).catch(() => {});
    });
    const sessions = new Set<http2.ServerHttp2Session>();
    app.on('session', (session) => sessions.add(session.on('error', () => {})));
    closers.push(() => {
      for (const session of sessions) session.destroy();
    });
    const line = await DelayLine.start(await portOf(app), oneWayMs);
    closers.push(() => line.close());
    const gateway = await start(endpointOf('http2', line.port));
    const stream = connect(gateway.port).request({ ':path': '/' });
    let received = 0;
    for await (const bytes of stream) received += (bytes as Buffer).length;
    expect(received).toBe(length);
    expect(line.peakBack).toBeGreaterThan(3 * usualWindow);
  });
});
