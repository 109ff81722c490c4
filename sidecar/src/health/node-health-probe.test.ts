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

const probe = new NodeHealthProbe({ identity: () => null, nowMs: () => Date.now() });

async function ask(protocol: ProbeQuestion['protocol'], port: number, change: Partial<HealthCheckSettings['http']> = {}, timeoutMs = 5_000): Promise<string> {
  const settings: HealthCheckSettings = {
    intervalMs: 10_000, jitter: 0, timeoutMs, unhealthyThreshold: 1, healthyThreshold: 1, protocol: '', port: '', grpcService: 'shop.Payments',
    http: { path: '/healthz', host: '', method: 'GET', statuses: [{ from: 200, to: 299 }], bodyContains: '', headers: [{ name: 'x-check', value: '1' }], ...change },
  };
  const host = { service: 'payments', port: 'http', id: 'p1', address: `127.0.0.1:${port}`, slot: 0, since: 1, endpoint: { source: 'static', mtls: false }, at: { host: '127.0.0.1', port, protocols: [] } };
  return (await probe.ask({ host: host as unknown as ProbeQuestion['host'], protocol, settings, tls: null })).problem;
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
    expect(await ask('http', await portOf(createTcpServer((socket) => socket.resume().end('SSH-2.0\r\n'))))).toMatch(/Parse Error/);
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
    ['a cut message', status(1).subarray(0, 6), { 'grpc-status': '0' }, 'its answer is no gRPC message'], ['NOT_FOUND', null, { 'grpc-status': '5' }, 'grpc-status 5'], ['nothing', null, {}, 'no grpc-status'],
  ])('%s', async (_name, answer, trailers, problem) => {
    const { port, seen } = await health(answer, trailers);
    expect(await ask('grpc', port)).toBe(problem);
    expect(seen).toEqual([`/grpc.health.v1.Health/Check 000000000f0a0d${Buffer.from('shop.Payments').toString('hex')}`]);
  });

  test('who does not speak HTTP/2', async () => {
    expect(await ask('grpc', await answering((_request, response) => response.end()))).not.toBe('');
  });
});
