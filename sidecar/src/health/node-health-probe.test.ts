import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import type { HealthCheckSettings } from '@remora/policy-health-check/wire';
import { afterEach, describe, expect, test } from 'vitest';
import type { ProbeQuestion } from './health-probe.ts';
import { NodeHealthProbe } from './node-health-probe.ts';

const servers: (Server | Http2Server | TcpServer)[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close(resolve);
  })));
});

async function portOf(server: Server | Http2Server | TcpServer): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return (server.address() as AddressInfo).port;
}

const probe = new NodeHealthProbe({ identity: () => null, fileText: () => null, nowMs: () => Date.now() });

async function ask(protocol: ProbeQuestion['protocol'], port: number, change: Partial<HealthCheckSettings['http']> = {}, timeoutMs = 5_000, how: Partial<ProbeQuestion> = {}): Promise<string> {
  const settings: HealthCheckSettings = {
    intervalMs: 10_000, jitter: 0, timeoutMs, unhealthyThreshold: 1, healthyThreshold: 1, protocol: '', port: '', grpcService: 'shop.Payments',
    http: { path: '/healthz', host: '', method: 'GET', statuses: [{ from: 200, to: 299 }], bodyContains: '', headers: [{ name: 'x-check', value: '1' }], ...change },
  };
  const host = { service: 'payments', port: 'http', id: 'p1', address: `127.0.0.1:${port}`, slot: 0, since: 1, endpoint: { source: 'static', mtls: false }, at: { host: '127.0.0.1', port, protocols: [] } };
  return (await probe.ask({ host, protocol, http2: false, settings, tls: null, proxyProtocol: 0, ...how })).problem;
}

const answering = (listener: RequestListener): Promise<number> => portOf(createServer(listener));

describe('over HTTP', () => {
  test('asks as the settings say', async () => {
    const seen: unknown[] = [];
    const port = await answering(({ method, url, headers }, response) => {
      seen.push([method, url, headers.host, headers['x-check'], headers['user-agent']]);
      response.end('fine');
    });
    expect([await ask('http', port), await ask('http', port, { method: 'HEAD', host: 'shop.example', path: '/' })]).toEqual(['', '']);
    expect(seen).toEqual([['GET', '/healthz', 'payments', '1', 'remora-health-check'], ['HEAD', '/', 'shop.example', '1', 'remora-health-check']]);
  });

  test.each([
    [503, {}, '503'], [404, { statuses: [{ from: 200, to: 299 }, { from: 404, to: 404 }] }, ''], [200, { bodyContains: 'all good' }, ''], [200, { bodyContains: 'all bad' }, 'its body does not have the expected text'],
  ])('a %i with %j: %j', async (status, change, problem) => {
    expect(await ask('http', await answering((_request, response) => response.writeHead(status).end('it is all good')), change)).toBe(problem);
  });

  test('text is looked for at the start of a body that never ends', async () => {
    const port = await answering((_request, response) => {
      const write = (): void => { if (response.write('x'.repeat(65_536))) setImmediate(write); else response.once('drain', write); };
      write();
    });
    expect(await ask('http', port, { bodyContains: 'y' })).toBe('its body does not have the expected text');
  });

  test('whoever hangs has not answered in time', async () => {
    expect(await ask('http', await answering(() => {}), {}, 50)).toBe('no answer in time');
  });

  test('whoever is not there, breaks off, or is no HTTP', async () => {
    const gone = await answering(() => {});
    await new Promise((resolve) => { servers.splice(0)[0]?.close(resolve); });
    expect(await ask('http', gone)).toBe('nobody listens');
    expect(await ask('http', await answering(({ socket }) => socket.destroy()))).toMatch(/socket hang up|the connection/);
    expect(await ask('http', await portOf(createTcpServer((socket) => socket.resume().end('SSH-2.0\r\n'))))).toMatch(/^no HTTP\/1\.1: it begins with "SSH-2\.0/);
  });
});

test('over TCP a connection is enough', async () => {
  expect(await ask('tcp', await portOf(createTcpServer((socket) => socket.resume())))).toBe('');
});

describe('over gRPC', () => {
  /** Answers with these bytes and codes. */
  async function health(answer: Buffer | null, trailers: Readonly<Record<string, string | undefined>>): Promise<{ readonly port: number; readonly seen: string[] }> {
    const server = createHttp2Server();
    const seen: string[] = [];
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
        seen.push(`${String(headers[':path'])} ${Buffer.concat(chunks).toString('hex')}`);
        if (answer === null) stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true });
        else {
          stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers(trailers));
          stream.end(answer);
        }
      });
    });
    return { port: await portOf(server), seen };
  }

  const status = (value: number): Buffer => Buffer.from([0, 0, 0, 0, 2, 8, value]);

  test.each([
    ['SERVING', status(1), { 'grpc-status': '0' }, ''], ['NOT_SERVING', status(2), { 'grpc-status': '0' }, 'NOT_SERVING'], ['an empty message', Buffer.alloc(5), { 'grpc-status': '0' }, 'UNKNOWN'],
    ['a cut message', status(1).subarray(0, 6), { 'grpc-status': '0' }, 'its answer is no gRPC message'], ['NOT_FOUND', null, { 'grpc-status': '5' }, 'grpc-status 5'], ['nothing', null, {}, 'no grpc-status (status 200: is it gRPC?)'],
  ])('%s', async (_name, answer, trailers, problem) => {
    const { port, seen } = await health(answer, trailers);
    expect(await ask('grpc', port)).toBe(problem);
    expect(seen).toEqual([`/grpc.health.v1.Health/Check 000000000f0a0d${Buffer.from('shop.Payments').toString('hex')}`]);
  });

  test('who does not speak HTTP/2', async () => {
    expect(await ask('grpc', await answering((_request, response) => response.end()))).not.toBe('');
  });
});

describe('at the wrong port', () => {
  const greeting = (bytes: Buffer | string): Promise<number> => portOf(createTcpServer((socket) => {
    socket.on('error', () => {}).resume();
    socket.end(bytes);
  }));

  test.each([
    ['a server of something else', 'SSH-2.0-OpenSSH_9.6\r\n', 'no HTTP/1.1: it begins with "SSH-2.0-OpenSSH_9.6\\x0d\\x0a"'],
    ['one of TLS', Buffer.from([0x15, 3, 1, 0, 2, 2, 70]), 'it speaks TLS: it begins with "\\x15\\x03\\x01\\x00\\x02\\x02F"'],
  ])('%s is told by its bytes', async (_, bytes, problem) => {
    expect(await ask('http', await greeting(bytes))).toBe(problem);
  });

  test('HTTP/2 where HTTP/1.1 was asked, and the other way round', async () => {
    expect(await ask('http', await portOf(createHttp2Server()))).toMatch(/^it speaks HTTP\/2: it begins with "\\x00\\x00/);
    expect(await ask('grpc', await answering((_request, response) => response.end('fine')))).not.toBe('');
  });

  test('a gRPC server without the health service, and an HTTP/2 server that is none', async () => {
    const server = createHttp2Server();
    server.on('stream', (stream: ServerHttp2Stream) => { stream.respond({ ':status': 404 }, { endStream: true }); });
    expect(await ask('grpc', await portOf(server))).toBe('no grpc-status (status 404: is it gRPC?)');
  });
});

test('what speaks HTTP/2 alone is asked over HTTP/2', async () => {
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream, headers) => { stream.respond({ ':status': headers[':path'] === '/healthz' && headers[':authority'] === 'payments' ? 204 : 500 }, { endStream: true }); });
  expect(await ask('http', await portOf(server), {}, 5_000, { http2: true })).toBe('');
});

test.each([[1, 'PROXY UNKNOWN\r\n'], [2, '\r\n\r\n\0\r\nQUIT\n\x20\0']] as const)('the PROXY protocol of version %i goes first, for a connection of our own', async (proxyProtocol, start) => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const port = await portOf(createTcpServer((socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!text.endsWith('\r\n\r\n') || text.length < 40) return;
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      resolve(text);
    });
  }));
  expect(await ask('http', port, {}, 5_000, { proxyProtocol })).toBe('');
  const text = await promise;
  expect(text.slice(0, start.length)).toBe(start);
  expect(text).toContain('GET /healthz HTTP/1.1\r\n');
});
