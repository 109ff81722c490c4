import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { faultAuthoring } from '@remora/policy-fault/compile';
import { requestIdAuthoring } from '@remora/policy-request-id/compile';
import { retryAuthoring } from '@remora/policy-retry/compile';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import type { ClientSpan, ServerSpan, SpanRecord } from '../records/span-record.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Sections = Readonly<Record<string, JsonObject>>;
const authoring = new Map<string, AuthoringKind>([faultAuthoring, requestIdAuthoring, retryAuthoring].map((kind) => [kind.name, kind]));

function settings(builder: CandidateBuilder, sections: Sections): Buffer {
  return builder.settings(...Object.entries(sections).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, section]) => {
    const known = authoring.get(kind) as AuthoringKind;
    const { minFormat, body } = known.compile(effectiveSection(known, section));
    return { kind, minFormat, body: Buffer.from(body), shadow: false };
  }));
}

interface Part {
  readonly plane: LocalDataPlane;
  readonly port: number;
}

interface GatewayPart extends Part {
  readonly refusals: RefusalRecord[];
}

interface Options {
  readonly ratio?: number;
  readonly recorded?: boolean;
  readonly trusted?: boolean;
  readonly provider?: Sections;
  readonly caller?: Sections;
}

function makePlane(nodeId: string, { ratio = 1, recorded = true }: Options): LocalDataPlane {
  const plane = new LocalDataPlane({ nodeId, kinds: runtimeKinds, ...(recorded && { spans: { ratio } }) });
  closers.push(() => plane.close());
  return plane;
}

async function swapIn(plane: LocalDataPlane, builder: CandidateBuilder): Promise<void> {
  const candidate = builder.build({ epoch: 1, index: 1 });
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
}

async function tellEndpoints(plane: LocalDataPlane, ports: readonly number[]): Promise<void> {
  const endpoints = ports.map((port, i) => ({ id: `orders-${i}`, weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port }] }));
  await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints })).finish()] });
}

async function gateway(ports: readonly number[], options: Options = {}): Promise<GatewayPart> {
  const plane = makePlane('edge-1', options);
  const refusals: RefusalRecord[] = [];
  plane.onRefusal((refusal) => refusals.push(refusal));
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet({ trustedProxies: options.trusted === true ? ['127.0.0.0/8'] : [] }).listener({ name: 'plain' });
  builder.destination({ service: 'orders', settings: settings(builder, options.caller ?? {}) });
  builder.route({ name: 'all', settings: settings(builder, { requestId: {}, ...options.provider }), match: { path: { kind: { $case: 'prefix', value: '/' } } } });
  await swapIn(plane, builder);
  await tellEndpoints(plane, ports);
  const [bound] = await plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
  return { plane, port: bound?.port ?? 0, refusals };
}

/** The sidecar of orders: inbound before an app, outbound to `ports`. */
async function service(appPort: number, options: Options & { readonly ports?: readonly number[] } = {}): Promise<Part & { readonly outbound: number }> {
  const plane = makePlane('orders-1', options);
  const builder = new CandidateBuilder({ kind: 'service', name: 'orders' }).fleet();
  builder.inbound({ portName: 'http', settings: settings(builder, { requestId: {}, ...options.provider }) }).destination({ service: 'orders' });
  await swapIn(plane, builder);
  await tellEndpoints(plane, options.ports ?? []);
  const bound = await plane.listen([
    { name: 'inbound/http', side: 'inbound', host: '127.0.0.1', port: 0, portName: 'http', app: { host: '127.0.0.1', port: appPort } },
    { name: 'outbound', side: 'outbound', host: '127.0.0.1', port: 0 },
  ]);
  return { plane, port: bound[0]?.port ?? 0, outbound: bound[1]?.port ?? 0 };
}

/** For busy machines. */
const patience = { timeout: 30_000 };

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

async function app(handle: Handler = (request, response) => response.end(String(request.headers['traceparent'] ?? ''))): Promise<number> {
  const server = http.createServer(handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Answered {
  readonly status: number;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
}

function ask(port: number, options: http.RequestOptions & { readonly body?: string } = {}): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path: '/a?token=secret', agent: false, ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => { body += text; }).on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(options.body);
  });
}

async function spansOf({ plane }: Part, count: number): Promise<{ readonly server: ServerSpan; readonly clients: readonly ClientSpan[] }> {
  const spans: SpanRecord[] = [];
  await vi.waitFor(() => {
    spans.push(...plane.takeSpans(100));
    expect(spans.length).toBeGreaterThanOrEqual(count);
  }, patience);
  expect(spans).toHaveLength(count);
  return { server: spans.find(({ kind }) => kind === 'server') as ServerSpan, clients: spans.filter((span): span is ClientSpan => span.kind === 'client') };
}

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = `00-${traceId}-00f067aa0ba902b7-01`;

describe('spans of a request', () => {
  test('are one trace with the right parents, from gateway to app', async () => {
    const appPort = await app();
    const orders = await service(appPort);
    const edge = await gateway([orders.port]);
    const { body, status } = await ask(edge.port, { headers: { traceparent: parent, 'x-request-id': 'from-outside' } });
    expect(status).toBe(200);
    const first = await spansOf(edge, 2);
    const second = await spansOf(orders, 2);
    const chain: readonly SpanRecord[] = [first.server, first.clients[0] as ClientSpan, second.server, second.clients[0] as ClientSpan];
    // A stranger's trace is not continued.
    expect(first.server.traceId).not.toBe(traceId);
    expect(chain.map((span) => span.traceId)).toEqual(chain.map(() => first.server.traceId));
    expect(chain.map((span) => span.parentId)).toEqual(['', ...chain.slice(0, 3).map(({ spanId }) => spanId)]);
    expect(body).toBe(`00-${first.server.traceId}-${chain[3]?.spanId}-01`);
    expect(first.server).toMatchObject({ side: 'gateway', method: 'GET', path: '/a', route: 'all', destination: 'orders', status: 200, attempts: 1, reason: '', bytesOut: 55, configVersion: '1.1' });
    expect(first.server.requestId).toBe(second.server.requestId);
    expect(first.clients[0]).toMatchObject({ address: `127.0.0.1:${orders.port}`, endpoint: 'orders-0', status: 200, attempt: 1 });
    expect(second.server).toMatchObject({ side: 'inbound', status: 200 });
    expect(first.server.startMs).toBeGreaterThan(Date.now() - 60_000);
    expect(first.clients[0]?.durationMs).toBeLessThanOrEqual(first.server.durationMs);
  });

  test('continue the trace of a trusted proxy, and obey its flag', async () => {
    const edge = await gateway([await app()], { trusted: true, ratio: 0 });
    expect((await ask(edge.port, { headers: { traceparent: parent } })).body).toMatch(new RegExp(`^00-${traceId}-`));
    const { server } = await spansOf(edge, 2);
    expect(server).toMatchObject({ traceId, parentId: '00f067aa0ba902b7' });
    const unsampled = parent.replace(/01$/, '00');
    expect((await ask(edge.port, { headers: { traceparent: unsampled } })).body).toBe(unsampled);
    expect(edge.plane.takeSpans(10)).toEqual([]);
  });

  test('not chosen by the ratio are chosen by nobody behind', async () => {
    const orders = await service(await app());
    const edge = await gateway([orders.port], { ratio: 0 });
    expect((await ask(edge.port)).body).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect([...edge.plane.takeSpans(10), ...orders.plane.takeSpans(10)]).toEqual([]);
  });

  test('begin where an app calls without a trace', async () => {
    const callee = await app();
    const orders = await service(callee, { ports: [callee] });
    const { body } = await ask(orders.outbound, { headers: { host: 'orders', traceparent: 'nonsense', tracestate: 'a=b' } });
    const { server, clients } = await spansOf(orders, 2);
    expect(server).toMatchObject({ side: 'outbound', parentId: '', destination: 'orders', authority: 'orders' });
    expect(body).toBe(`00-${server.traceId}-${clients[0]?.spanId}-01`);
  });

  test('are not recorded where requestId begins no traces', async () => {
    const edge = await gateway([await app()], { provider: { requestId: { traceContext: 'keep' } } });
    expect((await ask(edge.port)).body).toBe('');
    expect(edge.plane.takeSpans(10)).toEqual([]);
  });

  test('tell attempts apart', async () => {
    let calls = 0;
    const failing = await app((_, response) => {
      response.statusCode = calls++ === 0 ? 503 : 200;
      response.end();
    });
    const edge = await gateway([failing], { caller: { retry: { retries: 1, retryOn: [503] } } });
    expect((await ask(edge.port)).status).toBe(200);
    const { server, clients } = await spansOf(edge, 3);
    expect(server).toMatchObject({ status: 200, attempts: 2 });
    expect(clients.map(({ status, attempt, parentId }) => ({ status, attempt, parentId }))).toEqual([
      { status: 503, attempt: 1, parentId: server.spanId }, { status: 200, attempt: 2, parentId: server.spanId },
    ]);
    expect(new Set(clients.map(({ spanId }) => spanId)).size).toBe(2);
  });

  test('say why nothing came: refused here, nobody there, client gone', async () => {
    const fault = { fault: { faults: { broken: { until: '2099-01-01T00:00:00Z', abort: { status: 418 } } } } };
    const refusing = await gateway([await app()], { provider: fault });
    expect((await ask(refusing.port)).status).toBe(418);
    const refused = await spansOf(refusing, 1);
    expect(refused.server).toMatchObject({ status: 418, reason: 'fault-injected', policyKind: 'fault', policyField: '/faults/broken/abort', parentId: '' });
    expect(refused.server.requestId).not.toBe('');
    // The ring for why names the same trace.
    await vi.waitFor(() => expect(refusing.refusals).toHaveLength(1), patience);
    expect(refusing.refusals).toMatchObject([{ requestId: refused.server.requestId, traceId: refused.server.traceId }]);

    const lost = await gateway([1], { caller: { retry: { retries: 0 } } });
    expect((await ask(lost.port)).status).toBe(503);
    const failed = await spansOf(lost, 2);
    expect(failed.server).toMatchObject({ status: 503, reason: 'connect-failure' });
    expect(failed.clients[0]).toMatchObject({ status: 0, reason: 'connect-failure', address: '127.0.0.1:1' });

    const arrived = Promise.withResolvers<void>();
    const silent = await gateway([await app(() => arrived.resolve())]);
    const request = http.get({ host: '127.0.0.1', port: silent.port, agent: false });
    request.on('error', () => {});
    await arrived.promise;
    // A FIN alone may be a client that still listens.
    request.socket?.resetAndDestroy();
    const gone = await spansOf(silent, 2);
    expect(gone.server).toMatchObject({ status: 0, reason: 'downstream-reset' });
    expect(gone.clients[0]).toMatchObject({ status: 0, reason: 'downstream-reset' });
  });

  test('of what is no request have no path, and their answer is counted', async () => {
    const edge = await gateway([await app()]);
    const { status } = await ask(edge.port, { headers: { 'content-length': '1', 'transfer-encoding': 'chunked' }, method: 'POST' });
    expect(status).toBe(400);
    const { server } = await spansOf(edge, 1);
    expect(server).toMatchObject({ status: 400, reason: 'bad-request', path: '' });
  });

  test('tell HTTP/2 from HTTP/1.1', async () => {
    const edge = await gateway([await app()]);
    const session = http2.connect(`http://127.0.0.1:${edge.port}`);
    closers.push(() => session.destroy());
    const request = session.request({ ':path': '/two' }).resume();
    await once(request, 'end');
    const { server, clients } = await spansOf(edge, 2);
    expect(server).toMatchObject({ protocol: '2', path: '/two', status: 200 });
    expect(clients[0]).toMatchObject({ protocol: '1.1' });
  });

  test('of a WebSocket last as long as it does, and leave it alone', async () => {
    const upgrading = http.createServer().on('upgrade', (request, socket: net.Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n');
      socket.pipe(socket);
      socket.on('error', () => {});
      expect(request.headers['traceparent']).toMatch(/-01$/);
    }).listen(0, '127.0.0.1');
    await once(upgrading, 'listening');
    closers.push(() => upgrading.close());
    const edge = await gateway([(upgrading.address() as AddressInfo).port]);
    const socket = net.connect(edge.port, '127.0.0.1');
    closers.push(() => socket.destroy());
    socket.write('GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => { text += part; });
    await vi.waitFor(() => expect(text).toMatch(/^HTTP\/1\.1 101 [^]*\r\n\r\n/), patience);
    socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
    await vi.waitFor(() => expect(text.endsWith('hi')).toBe(true), patience);
    expect(edge.plane.takeSpans(10)).toEqual([]);
    socket.end();
    const { server, clients } = await spansOf(edge, 2);
    expect(server).toMatchObject({ status: 101, reason: '', path: '/ws' });
    expect(clients).toHaveLength(1);
    expect(clients[0]).toMatchObject({ reason: '' });
  });

  test('cost nothing where they are not asked for: the trace of the client passes untouched', async () => {
    const edge = await gateway([await app()], { recorded: false, trusted: true });
    expect((await ask(edge.port, { headers: { traceparent: parent } })).body).toBe(parent);
    expect(edge.plane.takeSpans(10)).toEqual([]);
  });
});
