import http from 'node:http';
import type http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '@remora/core/canonical-json';
import { ExchangeClient } from '../testdata/exchange-client.ts';
import { ExchangeServer } from '../testdata/exchange-server.ts';
import { instanceAt, MeshAuthority, MeshSidecar } from './testdata/mesh-rig.ts';

const authority = new MeshAuthority();
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function sidecar(name: string, identity = true): Promise<MeshSidecar> {
  const made = new MeshSidecar({ subject: { kind: 'service', name } });
  open.push(made);
  if (identity) await made.identify(authority);
  return made;
}

async function app(protocol: 'http1' | 'http2', answer: string): Promise<ExchangeServer> {
  const server = await ExchangeServer.start(protocol, (request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => (bytes += chunk.length));
    request.on('end', () => response.end(JSON.stringify({ answer, bytes, cert: request.headers['x-forwarded-client-cert'] ?? null })));
  });
  open.push(server);
  return server;
}

interface Answer {
  readonly answer: string;
  readonly bytes: number;
  readonly cert: string | null;
}

async function ask(client: ExchangeClient, request: Parameters<ExchangeClient['fetch']>[0] = {}): Promise<Answer & { status: number }> {
  const { status, text } = await client.fetch({ path: '/', headers: { host: 'orders' }, ...request });
  return { status, ...(status === 200 ? JSON.parse(text) as Answer : { answer: '', bytes: 0, cert: null }) };
}

describe('through two sidecars by mTLS', () => {
  it.each<['http1' | 'http2', string]>([['http1', 'http'], ['http2', 'http2']])('large bodies to an app that speaks %s', async (protocol, portProtocol) => {
    const orders = await sidecar('orders');
    const web = await sidecar('web');
    await orders.apply({ ports: { http: portProtocol }, mtls: { mode: 'strict' } });
    await web.apply({ destinations: ['orders'] });
    const inbound = await orders.listenInbound('http', (await app(protocol, 'large')).port);
    await web.reach('orders', instanceAt(inbound));
    const client = new ExchangeClient('http1', await web.listenOutbound());
    open.push(client);
    const body = Buffer.alloc(3 * 1024 * 1024, 'x');
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(client, { method: 'POST', body, headers: { host: 'orders', 'content-length': String(body.length) } })));
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, bytes: body.length });
    expect(answers[0]?.cert).toContain('URI=spiffe://shop.example/service/web');
  });

  it('a service that is half migrated: each instance as it announces itself', async () => {
    const web = await sidecar('web');
    await web.apply({ destinations: ['orders'] });
    const ports: number[] = [];
    for (const [name, identity] of [['with', true], ['without', false]] as const) {
      const orders = await sidecar('orders', identity);
      await orders.apply({ ports: { http: 'http' } });
      ports.push(await orders.listenInbound('http', (await app('http1', name)).port));
    }
    await web.reach('orders', instanceAt(ports[0] ?? 0, { id: 'orders-1' }), instanceAt(ports[1] ?? 0, { id: 'orders-2', mtls: false }));
    const client = new ExchangeClient('http1', await web.listenOutbound());
    open.push(client);
    const seen = new Set<string>();
    await vi.waitFor(async () => {
      const { status, answer, cert } = await ask(client);
      expect(status).toBe(200);
      seen.add(`${answer} ${cert === null ? 'plaintext' : 'mTLS'}`);
      expect([...seen].sort()).toEqual(['with mTLS', 'without plaintext']);
    });
  });

  it('gRPC with its trailers', async () => {
    const orders = await sidecar('orders');
    const web = await sidecar('web');
    await orders.apply({ ports: { http: 'grpc' }, mtls: { mode: 'strict' } });
    await web.apply({ destinations: ['orders'], destinationProtocol: 'grpc' });
    const server = await ExchangeServer.start('http2', (request, response) => {
      const answer = response as http2.Http2ServerResponse;
      answer.writeHead(200, { 'content-type': 'application/grpc', 'x-cert': String(request.headers['x-forwarded-client-cert']) });
      request.on('data', (chunk: Buffer) => answer.write(chunk));
      request.on('end', () => {
        answer.addTrailers({ 'grpc-status': '0', 'grpc-message': 'well' });
        answer.end();
      });
    });
    open.push(server);
    await web.reach('orders', instanceAt(await orders.listenInbound('http', server.port)));
    const client = new ExchangeClient('http2', await web.listenOutbound());
    open.push(client);
    const message = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);
    const answer = await client.fetch({ method: 'POST', path: '/shop.Orders/Get', body: message, headers: { host: 'orders', te: 'trailers', 'content-type': 'application/grpc' } });
    expect(answer).toMatchObject({ status: 200, trailers: { 'grpc-status': '0', 'grpc-message': 'well' } });
    expect(answer.body).toEqual(message);
    expect(answer.headers['x-cert']).toContain('URI=spiffe://shop.example/service/web');
  });

  it.each([['h2c'], ['http/1.1']])('a WebSocket, between sidecars that speak %s', async (protocol) => {
    const echo = http.createServer();
    echo.on('upgrade', (request, socket: net.Socket) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\nx-cert: ${String(request.headers['x-forwarded-client-cert'])}\r\n\r\n`);
      socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
      socket.on('end', () => socket.end());
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    open.push(echo);
    const orders = await sidecar('orders');
    const web = await sidecar('web');
    await orders.apply({ ports: { http: 'http' }, mtls: { mode: 'strict' } });
    await web.apply({ destinations: ['orders'] });
    await web.reach('orders', instanceAt(await orders.listenInbound('http', (echo.address() as net.AddressInfo).port), { protocols: [protocol] }));
    const socket = net.connect(await web.listenOutbound(), '127.0.0.1');
    open.push({ close: () => socket.destroy() });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.write('GET / HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
    await vi.waitFor(() => expect(text).toContain('101 Switching'));
    expect(text).toContain('URI=spiffe://shop.example/service/web');
    socket.write('hello');
    await vi.waitFor(() => expect(text).toContain('HELLO'));
  });
});

describe('ports that carry TCP', () => {
  /** Greets first, as databases do, then echoes in capitals. */
  async function database(): Promise<number> {
    const server = net.createServer((socket) => {
      socket.write('220 ready\n');
      socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
      socket.on('error', () => {});
      socket.on('end', () => socket.end());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(server);
    return (server.address() as net.AddressInfo).port;
  }

  async function tcpPair(mtls: JsonObject, app: number): Promise<{ web: MeshSidecar; orders: MeshSidecar; inbound: number; outbound: number }> {
    const orders = await sidecar('orders');
    const web = await sidecar('web');
    await orders.apply({ ports: { db: 'tcp' }, mtls });
    await web.apply({ destinations: ['orders'], destinationProtocol: 'tcp' });
    const inbound = await orders.listenInbound('db', app);
    await web.reach('orders', instanceAt(inbound, { portName: 'db' }));
    return { web, orders, inbound, outbound: await web.listenOutbound('orders') };
  }

  function talk(socket: net.Socket): { text: () => string; closed: () => boolean } {
    let text = '';
    let closed = false;
    open.push({ close: () => socket.destroy() });
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => {});
    socket.on('close', () => (closed = true));
    return { text: () => text, closed: () => closed };
  }

  it.each([['strict'], ['permissive']])('are carried by mTLS with %s, also where the server speaks first', async (mode) => {
    const { orders, outbound } = await tcpPair({ mode }, await database());
    const socket = net.connect(outbound, '127.0.0.1');
    const { text, closed } = talk(socket);
    await vi.waitFor(() => expect(text()).toContain('220 ready'));
    socket.write('select');
    await vi.waitFor(() => expect(text()).toContain('SELECT'));
    socket.end();
    await vi.waitFor(() => expect(closed()).toBe(true));
    expect(orders.counts()['tls_full-TLSv1.3']).toBe(1);
    await vi.waitFor(() => expect(orders.lines.map((line) => (JSON.parse(line) as { caller?: string }).caller)).toEqual(['spiffe://shop.example/service/web']));
  });

  it('take plaintext clients who wait for the server, after a moment, where that is allowed', async () => {
    const { inbound } = await tcpPair({ mode: 'permissive' }, await database());
    const { text } = talk(net.connect(inbound, '127.0.0.1'));
    await vi.waitFor(() => expect(text()).toContain('220 ready'));
  });

  it('close plaintext connections with strict, and say why', async () => {
    const { orders, inbound } = await tcpPair({ mode: 'strict' }, await database());
    const socket = net.connect(inbound, '127.0.0.1');
    const { text, closed } = talk(socket);
    socket.write('hello');
    await vi.waitFor(() => expect(closed()).toBe(true));
    expect(text()).toBe('');
    await vi.waitFor(() => expect(orders.refusals).toMatchObject([{ reason: 'mtls-required', kind: 'mtls' }]));
  });

  it('pass the TLS of the app on, which names another protocol or none', async () => {
    const certificate = authority.issue('service/own', { dns: ['db.test'], uris: [] });
    const server = tls.createServer({ cert: certificate.cert, key: certificate.key }, (socket) => {
      socket.on('error', () => {});
      socket.write('inside');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(server);
    const { orders, inbound } = await tcpPair({ mode: 'permissive' }, (server.address() as net.AddressInfo).port);
    const { text } = talk(tls.connect({ port: inbound, host: '127.0.0.1', rejectUnauthorized: false, servername: 'db.test' }));
    await vi.waitFor(() => expect(text()).toBe('inside'));
    expect(orders.counts()['tls_full-TLSv1.3']).toBeUndefined();
  });
});

describe('resumption', () => {
  it('of sessions, until the certificate, the roots or the revocations are others', async () => {
    const orders = await sidecar('orders');
    await orders.apply({ ports: { http: 'http' }, mtls: { mode: 'strict' } });
    const port = await orders.listenInbound('http', (await app('http1', 'resumed')).port);
    const own = authority.issue('service/web');
    let session: Buffer | undefined;
    const visit = (): Promise<boolean> => new Promise((resolve, reject) => {
      const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...own, ...(session && { session }) });
      let text = '';
      let reused = false;
      socket.on('session', (one) => (session = one));
      socket.on('secureConnect', () => {
        reused = socket.isSessionReused();
        socket.write('GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
      });
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.on('error', reject);
      socket.on('close', () => (text.startsWith('HTTP/1.1 200') && text.includes('URI=spiffe://shop.example/service/web') ? resolve(reused) : reject(new Error(text))));
    });
    expect(await visit()).toBe(false);
    expect(await visit()).toBe(true);
    await orders.revoke('shop.example', authority.issue('service/other'));
    expect(await visit()).toBe(false);
    expect(await visit()).toBe(true);
    const next = new MeshAuthority();
    await orders.trust('shop.example', [authority.root, next.root]);
    expect(await visit()).toBe(false);
    expect(await visit()).toBe(true);
    await orders.identify(authority);
    await orders.trust('shop.example', [authority.root, next.root]);
    expect(await visit()).toBe(false);
    orders.ticketSecret = Buffer.alloc(32, 9);
    await orders.identify(authority);
    expect(await visit()).toBe(false);
  });

  it('by callers: of a session of the same instance, and never after a revocation', async () => {
    const orders = await sidecar('orders');
    const web = await sidecar('web');
    await orders.apply({ ports: { http: 'http' } });
    await web.apply({ destinations: ['orders'] });
    const inbound = await orders.listenInbound('http', (await app('http1', 'again')).port);
    const outbound = await web.listenOutbound();
    for (let i = 0; i < 3; i++) {
      await web.reach('orders', instanceAt(inbound, { protocols: ['http/1.1'] }));
      const client = new ExchangeClient('http1', outbound);
      expect((await ask(client)).cert).toContain('service/web');
      client.close();
      // Without endpoints its idle connections close.
      await web.reach('orders');
      if (i === 1) await web.revoke('shop.example', authority.issue('service/other'));
    }
    expect(web.counts()).toMatchObject({ upstreamTls_full: 2, upstreamTls_resumed: 1 });
  });
});

describe('certificates change while requests run', () => {
  it('and none of them fails', async () => {
    const orders = await sidecar('orders');
    const web = await sidecar('web');
    await orders.apply({ ports: { http: 'http' }, mtls: { mode: 'strict' } });
    await web.apply({ destinations: ['orders'] });
    await web.reach('orders', instanceAt(await orders.listenInbound('http', (await app('http1', 'steady')).port)));
    const outbound = await web.listenOutbound();
    let going = true;
    const failed: number[] = [];
    let served = 0;
    const clients = Array.from({ length: 6 }, async () => {
      const client = new ExchangeClient('http1', outbound);
      open.push(client);
      while (going) {
        const { status } = await ask(client);
        if (status === 200) served++;
        else failed.push(status);
      }
    });
    for (let i = 0; i < 6; i++) {
      const before = served;
      await (i % 2 === 0 ? web : orders).identify(authority);
      await vi.waitFor(() => expect(served).toBeGreaterThan(before + 30));
    }
    going = false;
    await Promise.all(clients);
    expect(failed).toEqual([]);
  });
});
