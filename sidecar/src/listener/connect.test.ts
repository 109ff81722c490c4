import http2 from 'node:http2';
import net from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '@remora/core/canonical-json';
import { accessLogAuthoring } from '@remora/policy-access-log/compile';
import { timeoutAuthoring } from '@remora/policy-timeout/compile';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { echoRequests, type WireEnd, type WireUpstream } from '@remora/testing/wire-end';
import { runtimeKinds } from '../kinds.ts';
import { TunnelEnds } from '../testdata/tunnel-ends.ts';
import type { LogWriter } from '../records/log-lines.ts';
import type { ListenerSpec, RefusalRecord } from '../threads/data-plane.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());

interface Started {
  readonly plane: LocalDataPlane;
  readonly port: number;
  readonly refusals: RefusalRecord[];
  /** Of the access log. */
  readonly lines: string[];
}

/** A sidecar of `shop`, which may call `db` (TCP on 5432, requests on 80) and `web` (requests on 8080). */
async function start(up: WireUpstream | null, { connect = 'declared', timeouts = {}, spec = {}, dial = net.connect }: { connect?: string; timeouts?: JsonObject; spec?: Partial<ListenerSpec>; dial?: (options: net.NetConnectOpts) => net.Socket } = {}): Promise<Started> {
  const lines: string[] = [];
  const plane = new LocalDataPlane({ nodeId: 'n-1', kinds: runtimeKinds, dial, writeLog: keepLines(lines), spans: { ratio: 1 } });
  ends.later(() => plane.close());
  const refusals: RefusalRecord[] = [];
  plane.onRefusal((refusal) => refusals.push(refusal));
  const side = spec.side ?? 'outbound';
  const builder = new CandidateBuilder(side === 'gateway' ? { kind: 'gateway', name: 'edge' } : { kind: 'service', name: 'shop' }).fleet({ connect });
  const { minFormat, body } = timeoutAuthoring.compile(effectiveSection(timeoutAuthoring, timeouts));
  const settings = builder.settings({ kind: 'timeout', minFormat, body: Buffer.from(body) });
  builder.destination({ service: 'db', ports: [{ name: 'sql', port: 5432, protocol: 'tcp' }, { name: 'http', port: 80, protocol: 'http' }], settings });
  builder.destination({ service: 'web', ports: [{ name: 'http', port: 8080, protocol: 'http' }], settings });
  if (side === 'gateway') builder.listener({ name: 'plain' });
  const log = accessLogAuthoring.compile(effectiveSection(accessLogAuthoring, {}));
  if (side !== 'gateway') builder.inbound({ portName: 'http', settings: builder.settings({ kind: 'accessLog', minFormat: log.minFormat, body: Buffer.from(log.body) }) });
  const candidate = builder.build();
  const prepared = await plane.prepare(candidate);
  if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
  await plane.swap(candidate.hash, candidate.version);
  const sets = (['db', 'web'] as const).flatMap((service) => (up === null ? [] : [EndpointSet.encode(EndpointSet.fromPartial({
    service, endpoints: [{ id: 'i', weight: 1, ports: [{ name: service === 'db' ? 'sql' : 'http', host: '127.0.0.1', port: up.port }] }],
  })).finish()]));
  await plane.applyEndpoints({ full: true, removed: [], sets });
  const [bound] = await plane.listen([{ name: side, side, host: '127.0.0.1', port: 0, ...spec }]);
  return { plane, port: bound?.port ?? 0, refusals, lines };
}

/** One CONNECT and what follows, over either version. */
interface Asked {
  status: number;
  reason: string;
  text: string;
  state: 'open' | 'end' | 'broken';
  send(text: string): void;
  end(): void;
}

async function ask(protocol: 'http1' | 'http2', port: number, authority: string, early: string, extra: Record<string, string> = {}): Promise<Asked> {
  return protocol === 'http1' ? askHttp1(port, authority, early, extra) : askHttp2(port, authority, early, extra);
}

async function askHttp1(port: number, authority: string, early: string, extra: Record<string, string>): Promise<Asked> {
  const end = await ends.client(port);
  const fields = Object.entries(extra).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  end.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n${early}`);
  await end.untilText('\r\n\r\n');
  const head = end.text.slice(0, end.text.indexOf('\r\n\r\n') + 4);
  return {
    status: Number(head.slice(9, 12)),
    reason: /x-remora-reason: (.*)\r\n/.exec(head)?.[1] ?? '',
    get text() { return end.text.slice(head.length); },
    get state() { return end.state === 'reset' ? 'broken' : end.state; },
    send: (text) => end.send(text),
    end: () => end.end(),
  };
}

async function askHttp2(port: number, authority: string, early: string, extra: Record<string, string>): Promise<Asked> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  ends.later(() => session.destroy());
  const stream = session.request({ ':method': 'CONNECT', ':authority': authority, ...extra }, { endStream: false });
  const asked: Asked = {
    status: 0, reason: '', text: '', state: 'open',
    send: (text) => void stream.write(text),
    end: () => void stream.end(),
  };
  if (early !== '') stream.write(early);
  stream.setEncoding('latin1').on('data', (text: string) => {
    asked.text += text;
  });
  stream.on('error', () => {});
  stream.on('close', () => {
    asked.state = stream.rstCode === 0 ? 'end' : 'broken';
  });
  await new Promise<void>((resolve) => {
    stream.on('response', (head) => {
      asked.status = Number(head[':status']);
      asked.reason = String(head['x-remora-reason'] ?? '');
      expect(head['content-length'] ?? '').not.toBe(asked.status === 200 ? '0' : '');
      resolve();
    });
    stream.on('close', resolve);
  });
  return asked;
}

/** Greets first, then answers in capitals until the client ends, and says goodbye. */
async function greets(end: WireEnd): Promise<void> {
  end.send('220 ready\n');
  await end.untilClosed();
  if (end.state !== 'end') return;
  end.send(`${end.text.toUpperCase()}221 bye\n`);
  end.end();
}

function keepLines(lines: string[]): LogWriter {
  return (text, written) => {
    lines.push(...text.toString().split('\n').filter((line) => line !== ''));
    written();
  };
}

function parsed(line: string): JsonObject {
  return JSON.parse(line) as JsonObject;
}

describe.each(['http1', 'http2'] as const)('CONNECT over %s', (protocol) => {
  it('leads to the TCP port of a declared destination, with what came before its answer', async () => {
    const up = await ends.upstream(greets);
    const { plane, port, lines } = await start(up);
    const client = await ask(protocol, port, 'db:5432', 'early;');
    expect(client.status).toBe(200);
    client.send('late;\n');
    client.end();
    await vi.waitFor(() => expect(client).toMatchObject({ state: 'end', text: '220 ready\nEARLY;LATE;\n221 bye\n' }));
    await vi.waitFor(() => expect(plane.readSeries()).toMatchObject([{
      side: 'outbound', route: 'tcp/sql', destination: 'db', requests: 1, codes: new Map([[200, 1]]), bytesIn: 12, bytesOut: 30, tunnels: { opened: 1, active: 0 },
    }]));
    // The request ends at the caller's side: its line is in the log of the service that made it, once.
    await vi.waitFor(() => expect(lines).not.toEqual([]));
    expect(lines.map(parsed)).toMatchObject([{ side: 'outbound', method: 'CONNECT', host: 'db:5432', status: 200, route: 'tcp/sql', destination: 'db', upstream: `127.0.0.1:${up.port}`, bytesIn: 12, bytesOut: 30, attempts: 1 }]);
    expect(plane.takeSpans(10)).toMatchObject([{ kind: 'client', destination: 'db', status: 200 }, { kind: 'server', method: 'CONNECT', authority: 'db:5432', status: 200, bytesIn: 12, bytesOut: 30 }]);
  });

  it.each([
    ['an unknown name', 'other:5432', 502, 'unknown-destination'],
    ['an address', '127.0.0.1:5432', 502, 'unknown-destination'],
    ['an IPv6 address', '[::1]:5432', 502, 'unknown-destination'],
    ['a port that carries requests', 'web:8080', 403, 'connect-port'],
    ['a port that the destination does not have', 'db:22', 403, 'connect-port'],
    ['a name without port', 'db', 400, 'bad-request'],
    ['a name with an empty port', 'db:', 400, 'bad-request'],
  ])('to %s is refused; what came early reaches nobody', async (_what, authority, status, reason) => {
    const up = await ends.upstream(echoRequests);
    const { plane, port, refusals, lines } = await start(up);
    const client = await ask(protocol, port, authority, 'GET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n');
    expect(client).toMatchObject({ status, reason });
    if (protocol === 'http1') await vi.waitFor(() => expect(client.state).toBe('end'));
    expect(up.connections).toEqual([]);
    await vi.waitFor(() => {
      plane.readSeries();
      expect(refusals).toMatchObject([{ reason, side: 'outbound' }]);
    });
    expect(client.text).not.toContain('smuggled');
    await vi.waitFor(() => expect(lines).not.toEqual([]));
    expect(lines.map(parsed)).toMatchObject([{ side: 'outbound', method: 'CONNECT', host: authority, status, reason }]);
  });

  it.each([
    ['without a word in the Mesh', { connect: '' }],
    ['at a port for one destination', { spec: { destination: 'web' } }],
    ['at an inbound port', { spec: { side: 'inbound', app: { host: '127.0.0.1', port: 9 } } }],
    ['at a gateway', { spec: { side: 'gateway', portName: 'plain' } }],
  ] as const)('is refused %s', async (_what, options) => {
    const up = await ends.upstream(greets);
    const { port } = await start(up, options);
    expect(await ask(protocol, port, 'db:5432', '')).toMatchObject({ status: 403, reason: 'connect-refused' });
    expect(up.connections).toEqual([]);
  });

  it('with a body is no request', async () => {
    const up = await ends.upstream(greets);
    const { port } = await start(up);
    expect(await ask(protocol, port, 'db:5432', '', { 'content-length': '5' })).toMatchObject({ status: 400, reason: 'bad-request' });
    if (protocol === 'http1') expect(await ask(protocol, port, 'db:5432', '', { 'transfer-encoding': 'chunked' })).toMatchObject({ status: 400 });
    expect(up.connections).toEqual([]);
  });

  it('is answered when its instance cannot be connected, or there is none', async () => {
    const gone = await ends.upstream(() => {});
    gone.close();
    const { port } = await start(gone);
    expect(await ask(protocol, port, 'db:5432', 'early')).toMatchObject({ status: 503, reason: 'connect-failure' });
    const { port: empty } = await start(null);
    expect(await ask(protocol, empty, 'db:5432', 'early')).toMatchObject({ status: 503, reason: 'no-healthy-upstream' });
  });

  it('whose client is gone before there was an instance leaves nothing behind', async () => {
    const up = await ends.upstream(() => {});
    // Never connected: nobody answers.
    const { plane, port } = await start(up, { dial: () => new net.Socket() });
    const pools = async (): Promise<readonly { readonly active: number; readonly open: number }[]> => {
      const { threads } = await plane.describe() as { readonly threads: readonly { readonly pools: readonly { readonly active: number; readonly open: number }[] }[] };
      return threads[0]?.pools ?? [];
    };
    const gone = protocol === 'http1' ? await ends.client(port) : http2.connect(`http://127.0.0.1:${port}`).on('error', () => {});
    if ('request' in gone) gone.request({ ':method': 'CONNECT', ':authority': 'db:5432' }, { endStream: false }).on('error', () => {}).write('early');
    else gone.send('CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nearly');
    await vi.waitFor(async () => expect(await pools()).toMatchObject([{ active: 1 }]));
    if ('request' in gone) gone.destroy();
    else gone.reset();
    await vi.waitFor(async () => expect((await pools()).filter(({ active, open }) => active + open > 0)).toEqual([]));
    expect(plane.readSeries()).toMatchObject([{ requests: 1, active: 0, tunnels: { opened: 0 } }]);
  });

  it.each([['tunnelIdle', 'stream-idle'], ['maxStream', 'max-stream-duration']])('ends by timeout.%s, as any tunnel', async (field, reason) => {
    const up = await ends.upstream(greets);
    const { plane, port, refusals } = await start(up, { timeouts: { [field]: '600ms' } });
    const client = await ask(protocol, port, 'db:5432', '');
    await vi.waitFor(() => expect(client.state).toBe('broken'));
    await (await up.connection(1)).until(() => up.connections[0]?.state === 'reset');
    await vi.waitFor(() => {
      plane.readSeries();
      expect(refusals).toMatchObject([{ reason, kind: 'timeout', pointer: `/${field}`, destination: 'db' }]);
    });
  });
});

describe('the outbound port as an HTTP proxy', () => {
  it.each(['http://web/x?y=1', 'http://web:8080/x?y=1'])('takes GET %s', async (target) => {
    const up = await ends.upstream(echoRequests);
    const { port } = await start(up);
    const client = await ends.client(port);
    client.send(`GET ${target} HTTP/1.1\r\nHost: ${target.slice(7, target.indexOf('/', 7))}\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n`);
    expect((await client.message('response', 1))?.head.status).toBe(200);
    const { text } = await up.connection(1);
    expect(text).toMatch(/^GET \/x\?y=1 HTTP\/1\.1\r\n/);
    expect(text.toLowerCase()).not.toContain('\r\nproxy-');
  });

  it('does not know other hosts', async () => {
    const { port } = await start(null);
    const client = await ends.client(port);
    client.send('GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n');
    await client.untilText('x-remora-reason: unknown-destination\r\n');
    expect(client.text).toMatch(/^HTTP\/1\.1 502 /);
  });
});
