import net from 'node:net';
import tls from 'node:tls';
import { EndpointSet, type DeepPartial, type UpstreamTls } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import { TunnelEnds } from '../testdata/tunnel-ends.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';

const authority = new TestAuthority();
const stranger = new TestAuthority('somebody else');
const ends = new TunnelEnds();
afterEach(() => ends.close());

interface Started {
  readonly plane: LocalDataPlane;
  /** Of the outbound side, for `ledger` alone. */
  readonly port: number;
  readonly proxyPort: number;
  readonly refusals: RefusalRecord[];
}

/** A sidecar of `shop`, whose destination `ledger` speaks TLS over TCP at `port`. */
async function start(port: number, upstreamTls: DeepPartial<UpstreamTls>, source = 'static'): Promise<Started> {
  const plane = new LocalDataPlane({ nodeId: 'shop-1', kinds: runtimeKinds });
  ends.later(() => plane.close());
  const refusals: RefusalRecord[] = [];
  plane.onRefusal((refusal) => refusals.push(refusal));
  await plane.useTlsMaterial({ files: new Map([['/ca.pem', authority.cert], ['/other.pem', stranger.cert]]), ticketSecret: Buffer.alloc(32, 7) });
  const builder = new CandidateBuilder({ kind: 'service', name: 'shop' }).fleet({ connect: 'declared' });
  const candidate = builder.destination({ service: 'ledger', ports: [{ name: 'sql', port: 5432, protocol: 'tcp', tls: upstreamTls }] }).build();
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
  const set = { service: 'ledger', endpoints: [{ id: 'one', weight: 1, source, ports: [{ name: 'sql', host: '127.0.0.1', port }] }] };
  await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial(set)).finish()] });
  const [bound, proxy] = await plane.listen([
    { name: 'outbound/ledger', side: 'outbound', host: '127.0.0.1', port: 0, destination: 'ledger' }, { name: 'outbound', side: 'outbound', host: '127.0.0.1', port: 0 },
  ]);
  return { plane, port: bound?.port ?? 0, proxyPort: proxy?.port ?? 0, refusals };
}

/** What the server saw of each connection. */
interface Visit {
  readonly serverName: string;
  readonly reused: boolean;
  readonly alpn: string;
  text: string;
  ended: boolean;
  readonly socket: tls.TLSSocket;
  /** Below it. */
  readonly raw: net.Socket;
}

async function server(names: readonly string[], behave: (visit: Visit) => void): Promise<{ readonly port: number; readonly visits: Visit[] }> {
  const visits: Visit[] = [];
  const raws = new Map<number, net.Socket>();
  const made = tls.createServer({ ...authority.issue({ dns: [...names] }), allowHalfOpen: true, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => {
    const { servername } = socket as tls.TLSSocket & { servername?: string };
    const visit: Visit = { serverName: servername || '', reused: socket.isSessionReused(), alpn: socket.alpnProtocol || '', text: '', ended: false, socket, raw: raws.get(socket.remotePort ?? 0) as net.Socket };
    visits.push(visit);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      visit.text += chunk.toString();
    });
    socket.on('end', () => {
      visit.ended = true;
    });
    behave(visit);
  });
  made.on('connection', (raw: net.Socket) => raws.set(raw.remotePort ?? 0, raw));
  made.on('tlsClientError', () => {});
  ends.later(() => {
    for (const { socket } of visits) socket.destroy();
    made.close();
  });
  await new Promise<void>((resolve) => { made.listen(0, '127.0.0.1', resolve); });
  return { port: (made.address() as net.AddressInfo).port, visits };
}

/** Greets first; answers what came when the client has ended, and says goodbye. */
function greets({ socket }: Visit): void {
  let text = '';
  socket.write('220 ready\n');
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on('end', () => socket.end(`${text.toUpperCase()}221 bye\n`));
}

const trusting = { serverName: 'ledger.test', caFiles: ['/ca.pem'] };

describe('TLS to a TCP port of an endpoint without a sidecar', () => {
  it('is spoken for the app, from the greeting to the goodbye, each direction to its own end; the next connection resumes', async () => {
    const up = await server(['ledger.test'], greets);
    const { plane, port } = await start(up.port, trusting);
    for (let nth = 0; nth < 2; nth++) {
      const client = await ends.client(port);
      await client.untilText('220 ready\n');
      client.send('select 1;\n');
      client.end();
      await client.untilClosed();
      expect([client.state, client.text]).toEqual(['end', '220 ready\nSELECT 1;\n221 bye\n']);
    }
    expect(up.visits).toMatchObject([{ serverName: 'ledger.test', reused: false, alpn: '' }, { serverName: 'ledger.test', reused: true, alpn: '' }]);
    await vi.waitFor(() => expect(plane.readSeries()).toMatchObject([{ side: 'outbound', route: 'tcp/sql', destination: 'ledger', requests: 2, bytesIn: 20, tunnels: { opened: 2, active: 0 } }]));
  });

  it('by CONNECT alike', async () => {
    const up = await server(['ledger.test'], greets);
    const { proxyPort } = await start(up.port, trusting);
    const client = await ends.client(proxyPort);
    client.send('CONNECT ledger:5432 HTTP/1.1\r\nHost: ledger:5432\r\n\r\nearly;');
    await client.untilText('220 ready\n');
    client.end();
    await client.untilClosed();
    expect(client.text).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\n220 ready\nEARLY;221 bye\n$/);
  });

  it.each<[string, DeepPartial<UpstreamTls>, string]>([
    ['names somebody else', { ...trusting, serverName: 'other.test' }, 'upstream-tls-name'],
    ['is of an authority that nobody believes', { ...trusting, caFiles: ['/other.pem'] }, 'upstream-tls-untrusted'],
    ['could not be judged, for want of a file', { ...trusting, caFiles: ['/none.pem'] }, 'upstream-tls-configuration'],
  ])('whose certificate %s: nothing of the app\'s reaches it', async (_what, settings, reason) => {
    const up = await server(['ledger.test'], greets);
    const { port, refusals, plane } = await start(up.port, settings);
    const client = await ends.client(port);
    client.send('select secrets;\n');
    await client.untilClosed();
    expect(client.text).toBe('');
    await vi.waitFor(() => {
      plane.readSeries();
      expect(refusals).toMatchObject([{ reason, destination: 'ledger', route: 'tcp/sql' }]);
    });
    expect(up.visits.map(({ text }) => text).join('')).toBe('');
  });

  it('that speaks none is no TLS: nothing goes in the clear', async () => {
    const up = await ends.upstream((end) => end.send('220 ready\n'));
    const { port, refusals, plane } = await start(up.port, trusting);
    const client = await ends.client(port);
    client.send('select secrets;\n');
    await client.untilClosed();
    await vi.waitFor(() => {
      plane.readSeries();
      expect(refusals).toMatchObject([{ reason: 'upstream-tls-failed' }]);
    });
    expect(up.connections.map(({ text }) => text).join('')).not.toContain('secrets');
  });

  it('that breaks off is a break for the app', async () => {
    const up = await server(['ledger.test'], ({ socket, raw }) => {
      socket.write('half of', () => raw.resetAndDestroy());
    });
    const { port } = await start(up.port, trusting);
    const client = await ends.client(port);
    await client.untilClosed();
    expect(client.state).toBe('reset');
  });

  it('carries much both ways at once, and holds back who is too fast', async () => {
    const size = 2 * 1024 * 1024;
    const up = await server(['ledger.test'], ({ socket }) => socket.pipe(socket));
    const { port } = await start(up.port, trusting);
    const client = await ends.client(port);
    const bytes = Buffer.alloc(size);
    for (let at = 0; at < size; at += 4) bytes.writeUInt32LE(at * 2_654_435_761 % 0x1_0000_0000, at);
    client.send(bytes);
    client.end();
    await client.untilClosed();
    expect(client.state).toBe('end');
    expect(client.received.equals(bytes)).toBe(true);
  });

  it('is not for endpoints with a sidecar: those are connected as they announce', async () => {
    const up = await ends.upstream((end) => end.send('220 ready\n'));
    const { port } = await start(up.port, trusting, 'lease');
    const client = await ends.client(port);
    await client.untilText('220 ready\n');
    expect(up.connections).toHaveLength(1);
  });
});
