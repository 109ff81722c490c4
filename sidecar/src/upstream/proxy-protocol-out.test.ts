import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { readProxyHeader } from '@remora/http/first-bytes/read-proxy-header';
import { writeProxyHeader } from '@remora/http/first-bytes/write-proxy-header';
import type { ProxyHeader } from '@remora/http/first-bytes/proxy-header';
import { EndpointSet, type DeepPartial, type Endpoint, type DestinationPort } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { TestAuthority } from '@remora/testing/test-authority';
import { WireEnd } from '@remora/testing/wire-end';
import { runtimeKinds } from '../kinds.ts';
import { ExchangeClient } from '../testdata/exchange-client.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';
import { HeaderedServer } from './testdata/headered-server.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const authority = new TestAuthority();
const versions = ['v1', 'v2'] as const;
type Version = (typeof versions)[number];
const number = (version: Version): 1 | 2 => (version === 'v1' ? 1 : 2);

interface GatewayOptions {
  readonly version: Version | '';
  readonly port?: DeepPartial<DestinationPort>;
  readonly endpoint?: DeepPartial<Endpoint>;
  readonly protocols?: readonly string[];
  readonly listener?: 'http' | 'tcp' | 'tls';
  readonly proxied?: boolean;
  readonly connectionsMax?: number;
  readonly files?: ReadonlyMap<string, string>;
}

/** A gateway before one Service with one endpoint, the server given. */
async function gateway(server: HeaderedServer, options: GatewayOptions): Promise<{ port: number; plane: LocalDataPlane }> {
  const plane = new LocalDataPlane({ nodeId: 'edge-1', kinds: runtimeKinds, ...(options.connectionsMax !== undefined && { poolLimits: { connectionsMax: options.connectionsMax } }) });
  closers.push(() => plane.close());
  await plane.useTlsMaterial({ files: options.files ?? new Map(), ticketSecret: Buffer.alloc(32, 1) });
  const protocol = options.listener ?? 'http';
  const endpoint = { id: 'one', weight: 1, source: 'static', ports: [{ name: 'main', host: '127.0.0.1', port: server.port, protocols: [...(options.protocols ?? [])] }], ...options.endpoint };
  await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'app', endpoints: [endpoint] })).finish()] });
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet({ trustedProxies: ['127.0.0.0/8'] });
  builder.listener({ name: 'main', protocol, ...(options.proxied === true && { proxyProtocol: 'required' }) });
  builder.destination({ service: 'app', ports: [{ name: 'main', port: 8080, protocol, proxyProtocol: options.version, ...options.port }] });
  builder.route({
    name: 'all', ...(protocol === 'http' ? { match: { path: { kind: { $case: 'prefix', value: '/' } } } } : { ports: ['main'] }),
    action: { $case: 'forward', value: { targets: [{ service: 'app', port: 'main', weight: 1 }] } },
  });
  const candidate = builder.build();
  const prepared = await plane.prepare(candidate);
  if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
  await plane.swap(candidate.hash, candidate.version);
  const [bound] = await plane.listen([{ name: 'gateway/main', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'main' }]);
  return { port: bound?.port ?? 0, plane };
}

async function server(kind: ConstructorParameters<typeof HeaderedServer>[0]): Promise<HeaderedServer> {
  const made = new HeaderedServer(kind);
  closers.push(() => made.close());
  await made.listen();
  return made;
}

async function client(port: number): Promise<WireEnd> {
  const end = await WireEnd.connect(port);
  closers.push(() => end.close());
  return end;
}

/** What a client's connection to the gateway is from the outside. */
function addressesOf(end: WireEnd): object {
  const { localAddress, localPort, remoteAddress, remotePort } = end.socket;
  return { sourceAddress: localAddress, sourcePort: localPort, destinationAddress: remoteAddress, destinationPort: remotePort };
}

const get = (path = '/', extra = ''): string => `GET ${path} HTTP/1.1\r\nHost: app\r\n${extra}\r\n`;

async function ask(end: WireEnd, nth = 1, request = get()): Promise<string> {
  end.send(request);
  return (await end.message('response', nth))?.body.toString() ?? '';
}

describe.each(versions)('a port with proxyProtocol: %s', (version) => {
  it('begins each connection of HTTP/1.1 with the client it is for, and shares none', async () => {
    const app = await server('http1');
    const { port } = await gateway(app, { version });
    const [one, two] = [await client(port), await client(port)];
    for (let nth = 1; nth <= 3; nth++) {
      expect(await ask(one, nth)).toBe('connection 1');
      expect(await ask(two, nth)).toBe('connection 2');
    }
    expect(app.headers).toMatchObject([{ version: number(version), addresses: addressesOf(one) }, { version: number(version), addresses: addressesOf(two) }]);
  });

  it('the same for HTTP/2: the calls of one client share its connection', async () => {
    const app = await server('http2');
    const { port } = await gateway(app, { version, protocols: ['h2c'], port: { protocol: 'http2' } });
    const clients = [new ExchangeClient('http2', port), new ExchangeClient('http2', port)];
    closers.push(() => clients.forEach((one) => one.close()));
    const answers = await Promise.all(clients.flatMap((one) => [one.fetch(), one.fetch(), one.fetch()]));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(app.headers).toHaveLength(2);
    expect(new Set(app.headers.map(({ addresses }) => addresses?.sourcePort)).size).toBe(2);
  });

  it('goes before TLS, whatever ALPN chooses; what only looks is a connection of our own', async () => {
    const certificate = authority.issue({ dns: ['app.test'] });
    const app = await server({ tls: certificate, alpn: ['h2', 'http/1.1'] });
    const { port } = await gateway(app, {
      version, files: new Map([['/ca.pem', authority.cert]]), port: { protocol: 'http', tls: { serverName: 'app.test', caFiles: ['/ca.pem'], alpn: ['h2', 'http/1.1'] } },
    });
    const end = await client(port);
    expect(await ask(end)).toBe('connection 2');
    expect(await ask(end, 2)).toBe('connection 2');
    expect(app.headers).toMatchObject([{ addresses: null }, { addresses: addressesOf(end) }]);
  });

  it('goes before TCP, also where the server speaks first and the client never', async () => {
    const app = await server('greeting');
    const { port } = await gateway(app, { version, listener: 'tcp' });
    const end = await client(port);
    await end.untilText('connection 1');
    expect(app.headers).toMatchObject([{ version: number(version), addresses: addressesOf(end) }]);
  });

  it('goes before TLS that is passed through, which stays between client and server', async () => {
    const certificate = authority.issue({ dns: ['app.test'] });
    const app = await server({ tls: certificate, alpn: ['http/1.1'] });
    const { port } = await gateway(app, { version, listener: 'tls' });
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'app.test', ca: authority.cert });
    const end = new WireEnd(socket);
    closers.push(() => end.close());
    expect(await ask(end)).toBe('connection 1');
    expect(app.headers).toMatchObject([{ addresses: { sourcePort: socket.localPort }, authority: version === 'v2' ? 'app.test' : '' }]);
  });

  it('says the address that policies and logs have: through another balancer, and behind a trusted proxy', async () => {
    const app = await server('http1');
    const { port } = await gateway(app, { version, proxied: true });
    const addresses = { sourceAddress: '198.51.100.7', sourcePort: 4711, destinationAddress: '192.0.2.1', destinationPort: 443 };
    const balanced = await client(port);
    balanced.send(writeProxyHeader({ version: 2, addresses }));
    expect(await ask(balanced)).toBe('connection 1');
    // Its own word is not believed: a client at that address is no trusted proxy.
    expect(await ask(balanced, 2, get('/', 'X-Forwarded-For: 203.0.113.9\r\n'))).toBe('connection 1');
    const behind = await client(port);
    behind.send(writeProxyHeader({ version: 1, addresses: { ...addresses, sourceAddress: '127.0.0.9' } }));
    for (const [nth, address] of ['203.0.113.9', '203.0.113.9', '2001:DB8:0:0::7'].entries()) await ask(behind, nth + 1, get('/', `X-Forwarded-For: ${address}\r\n`));
    expect(app.headers.map((header) => header.addresses)).toEqual([
      addresses, { ...addresses, sourceAddress: '203.0.113.9', sourcePort: 0 },
      version === 'v1'
        ? { sourceAddress: '2001:db8::7', sourcePort: 0, destinationAddress: '::ffff:192.0.2.1', destinationPort: 443 }
        : { sourceAddress: '2001:db8::7', sourcePort: 0, destinationAddress: '192.0.2.1', destinationPort: 443 },
    ]);
  });

  it('the own app gets it from its sidecar', async () => {
    const app = await server('http1');
    const plane = new LocalDataPlane({ nodeId: 'orders-1', kinds: runtimeKinds });
    closers.push(() => plane.close());
    const apply = async (proxyProtocol: string, index: number): Promise<void> => {
      const candidate = new CandidateBuilder({ kind: 'service', name: 'orders' }).inbound({ portName: 'main', port: 80, protocol: 'http', proxyProtocol }).build({ epoch: 1, index });
      await plane.prepare(candidate);
      await plane.swap(candidate.hash, candidate.version);
    };
    await apply(version, 1);
    const [bound] = await plane.listen([{ name: 'inbound/main', side: 'inbound', host: '127.0.0.1', port: 0, portName: 'main', app: { host: '127.0.0.1', port: app.port } }]);
    const end = await client(bound?.port ?? 0);
    expect(await ask(end)).toBe('connection 1');
    expect(app.headers).toMatchObject([{ version: number(version), addresses: addressesOf(end) }]);
    await apply('', 2);
    await ask(end, 2);
    expect(app.refused).toEqual(['the connection does not begin with a PROXY protocol header']);
  });
});

it('a version that does not exist is refused again, by field', async () => {
  const plane = new LocalDataPlane({ nodeId: 'edge-1', kinds: runtimeKinds });
  closers.push(() => plane.close());
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).destination({ service: 'app', ports: [{ name: 'main', port: 8080, protocol: 'http', proxyProtocol: 'v3' }] });
  expect(await plane.prepare(builder.build())).toMatchObject({ ok: false, errors: [{ pointer: '/ports/main/proxyProtocol', code: 'invalid-value' }] });
});

it('instances with a sidecar get no header: their sidecar makes it', async () => {
  const app = await server('http1');
  const { port } = await gateway(app, { version: 'v2', endpoint: { source: 'lease' } });
  await ask(await client(port));
  expect(app.refused).toHaveLength(1);
});

it('connections of clients that are idle make room for others; where all are busy calls are refused', async () => {
  const app = await server('http1');
  const { port, plane } = await gateway(app, { version: 'v2', connectionsMax: 2 });
  const idle = await client(port);
  await ask(idle);
  const busy = [await client(port), await client(port)];
  for (const one of busy) one.send(get('/held'));
  await app.held(2);
  expect(app.headers).toHaveLength(3);
  const late = await client(port);
  late.send(get());
  expect((await late.message('response', 1))?.head.status).toBe(503);
  expect(late.text).toContain('upstream-overflow');
  app.release();
  for (const one of busy) expect((await one.message('response', 1))?.head.status).toBe(200);
  expect((await ask(busy[0] as WireEnd, 2)).length).toBeGreaterThan(0);
  expect(app.headers).toHaveLength(3);
  const { threads } = (await plane.describe()) as { threads: { pools: { open: number; idle: number }[] }[] };
  expect(threads[0]?.pools).toMatchObject([{ open: 2, idle: 2 }]);
});

it('a strict reader takes what was written for any client', () => {
  const headers = versions.map((version) => writeProxyHeader({ version: number(version), addresses: { sourceAddress: '::ffff:198.51.100.7', sourcePort: 1, destinationAddress: '2001:db8:0:0:0:0:0:1', destinationPort: 2 } }));
  const read = headers.map((bytes) => readProxyHeader(bytes, bytes.length)) as { header: ProxyHeader }[];
  expect(read.map(({ header }) => header.addresses?.destinationAddress)).toEqual(['2001:db8::1', '2001:db8::1']);
  expect(net.isIPv6(read[0]?.header.addresses?.sourceAddress ?? '')).toBe(true);
});
