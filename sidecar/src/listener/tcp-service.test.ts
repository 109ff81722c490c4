import tls from 'node:tls';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { accessLogAuthoring } from '@remora/policy-access-log/compile';
import { ipAccessAuthoring } from '@remora/policy-ip-access/compile';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { requestLimitsAuthoring } from '@remora/policy-request-limits/compile';
import { timeoutAuthoring } from '@remora/policy-timeout/compile';
import { corsAuthoring } from '@remora/policy-cors/compile';
import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { EndpointSet, Scope, type DeepPartial, type Fleet, type Section } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { writeProxyHeader } from '@remora/http/first-bytes/write-proxy-header';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { TestAuthority } from '@remora/testing/test-authority';
import { WireEnd, type WireUpstream } from '@remora/testing/wire-end';
import { runtimeKinds } from '../kinds.ts';
import type { ListenerSpec, RefusalRecord } from '../threads/data-plane.ts';
import type { LogWriter } from '../records/log-lines.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';
import { TunnelEnds } from '../testdata/tunnel-ends.ts';

const ends = new TunnelEnds();
const planes: LocalDataPlane[] = [];
afterEach(async () => {
  for (const plane of planes.splice(0)) await plane.close();
  await ends.close();
});

function section(authoring: AuthoringKind, values: JsonObject): DeepPartial<Section> {
  const { minFormat, body } = authoring.compile(effectiveSection(authoring, values));
  return { kind: authoring.name, minFormat, body: Buffer.from(body), origins: [{ pointer: '', policy: `sets-${authoring.name}` }] };
}

interface Started {
  readonly plane: LocalDataPlane;
  readonly refusals: RefusalRecord[];
  readonly lines: string[];
}

async function start(kind: 'service' | 'gateway', fill: (builder: CandidateBuilder) => unknown, fleet: DeepPartial<Fleet> = {}): Promise<Started> {
  const lines: string[] = [];
  const plane = new LocalDataPlane({ nodeId: 'n-1', kinds: runtimeKinds, writeLog: keepLines(lines) });
  planes.push(plane);
  const refusals: RefusalRecord[] = [];
  plane.onRefusal((refusal) => refusals.push(refusal));
  const builder = new CandidateBuilder({ kind, name: kind === 'service' ? 'orders' : 'edge' }).fleet(fleet);
  fill(builder);
  const candidate = builder.build();
  const prepared = await plane.prepare(candidate);
  if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
  await plane.swap(candidate.hash, candidate.version);
  return { plane, refusals, lines };
}

async function endpoints(plane: LocalDataPlane, service: string, port: string, ...ups: { readonly port: number }[]): Promise<void> {
  const set = { service, endpoints: ups.map((up, i) => ({ id: `i-${i}`, weight: 1, ports: [{ name: port, host: '127.0.0.1', port: up.port }] })) };
  await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial(set)).finish()] });
}

async function listen(plane: LocalDataPlane, spec: Omit<ListenerSpec, 'host' | 'port'>): Promise<number> {
  const [bound] = await plane.listen([{ host: '127.0.0.1', port: 0, ...spec }]);
  return bound?.port ?? 0;
}

/** Greets first, as mail and database servers do, then answers in capitals until the client ends, and says goodbye. */
async function greets(end: WireEnd): Promise<void> {
  end.send('220 ready\n');
  await end.untilClosed();
  if (end.state !== 'end') return;
  end.send(`${end.text.toUpperCase()}221 bye\n`);
  end.end();
}

const inboundSpec = (app: WireUpstream): Omit<ListenerSpec, 'host' | 'port'> => ({ name: 'inbound/db', side: 'inbound', portName: 'db', app: { host: '127.0.0.1', port: app.port } });

describe('an inbound port that carries TCP', () => {
  it('is the app\'s own, from its greeting to its goodbye; one line and one series at the end', async () => {
    const app = await ends.upstream(greets);
    const { plane, lines } = await start('service', (builder) => builder.inbound({ portName: 'db', protocol: 'tcp', port: 5432, settings: builder.settings(section(accessLogAuthoring, {}), section(corsAuthoring, { origins: ['https://a.example'] })) }));
    const client = await ends.client(await listen(plane, inboundSpec(app)));
    await client.untilText('220 ready\n');
    client.send('select 1;\n');
    client.end();
    await client.untilClosed();
    expect(client.text).toBe('220 ready\nSELECT 1;\n221 bye\n');
    await vi.waitFor(() => expect(lines).toHaveLength(1));
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ side: 'inbound', method: 'CONNECT', protocol: 'tcp', status: 200, bytesIn: 10, bytesOut: 28, route: 'tcp/db', upstream: `127.0.0.1:${app.port}` });
    expect(plane.readSeries()).toMatchObject([{ side: 'inbound', route: 'tcp/db', requests: 1, bytesIn: 10, bytesOut: 28, tunnels: { opened: 1, active: 0, messagesIn: 0 }, active: 0 }]);
  });

  it.each([
    ['ipAccess', ipAccessAuthoring, { deny: { here: '127.0.0.0/8' } }, 'ip-denied'],
    ['rateLimit', rateLimitAuthoring, { limits: { perIp: { requests: 1, per: '1h', key: ['clientAddress'] } } }, 'rate-limited'],
  ])('refuses by %s, counts it, and says nothing to the client', async (kind, authoring, values, reason) => {
    const app = await ends.upstream(greets);
    const { plane, refusals } = await start('service', (builder) => builder.inbound({ portName: 'db', protocol: 'tcp', settings: builder.settings(section(authoring, values)) }));
    const port = await listen(plane, inboundSpec(app));
    if (kind === 'rateLimit') {
      const first = await ends.client(port);
      await first.untilText('220 ready');
    }
    const client = await ends.client(port);
    await client.untilClosed();
    expect(client.text).toBe('');
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason, kind, route: 'tcp/db', side: 'inbound', policy: `sets-${kind}`, clientAddress: '127.0.0.1', status: 0 }]));
    expect(plane.readSeries()[0]?.refusals).toMatchObject([{ reason, count: 1 }]);
  });

  it('ends connections that are silent, last too long, or carry too much', async () => {
    const app = await ends.upstream(greets);
    const { plane, refusals } = await start('service', (builder) => builder.inbound({ portName: 'db', protocol: 'tcp', settings: builder.settings(section(requestLimitsAuthoring, { tunnelBytes: '100B' })) }));
    const client = await ends.client(await listen(plane, inboundSpec(app)));
    await client.untilText('ready');
    client.send(Buffer.alloc(101));
    await client.until(() => client.state === 'reset');
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason: 'tunnel-bytes', pointer: '/tunnelBytes' }]));
    await (await app.connection(1)).until(() => app.connections[0]?.state === 'reset');
  });

  it('whose app is not there closes the connection with a reason', async () => {
    const gone = await ends.upstream(() => {});
    gone.close();
    const { plane, refusals } = await start('service', (builder) => builder.inbound({ portName: 'db', protocol: 'tcp' }));
    const client = await ends.client(await listen(plane, inboundSpec(gone)));
    await client.untilClosed();
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason: 'connect-failure', side: 'inbound' }]));
  });
});

describe('a TCP connection', () => {
  async function open(): Promise<{ plane: LocalDataPlane; client: WireEnd; app: WireEnd; refusals: RefusalRecord[] }> {
    const up = await ends.upstream(() => {});
    const { plane, refusals } = await start('service', (builder) => builder.inbound({ portName: 'db', protocol: 'tcp' }));
    const client = await ends.client(await listen(plane, inboundSpec(up)));
    return { plane, client, app: await up.connection(1), refusals };
  }

  it('carries bytes as they are, both ways, and ends each side on its own', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.nat(400), fc.boolean(), async (piece, times, clientFirst) => {
      const { plane, client, app, refusals } = await open();
      const bytes = Buffer.concat(Array.from({ length: times }, () => Buffer.from(piece)));
      const [first, second] = clientFirst ? [client, app] : [app, client];
      first.send(bytes);
      first.end();
      await second.until(() => second.state === 'end');
      expect(second.received.equals(bytes)).toBe(true);
      second.send(bytes);
      second.end();
      await first.until(() => first.state === 'end');
      expect(first.received.equals(bytes)).toBe(true);
      await vi.waitFor(() => expect(plane.readSeries()[0]).toMatchObject({ bytesIn: bytes.length, bytesOut: bytes.length, tunnels: { active: 0 } }));
      expect(refusals).toEqual([]);
      await plane.close();
    }), { numRuns: 15 });
  });

  it('passes a reset on, from either side', async () => {
    const one = await open();
    one.client.send('x');
    await one.app.untilText('x');
    one.client.reset();
    await one.app.until(() => one.app.state === 'reset');
    const other = await open();
    other.client.send('x');
    await other.app.untilText('x');
    other.app.reset();
    await other.client.until(() => other.client.state === 'reset');
    await vi.waitFor(() => expect([...one.refusals, ...other.refusals].map(({ reason }) => reason)).toEqual(['downstream-reset', 'upstream-reset']));
  });

  it('whose client is gone before there was an instance leaves nothing behind', async () => {
    const { plane } = await start('service', (builder) => builder.inbound({ portName: 'db', protocol: 'tcp' }));
    const port = await listen(plane, { name: 'inbound/db', side: 'inbound', portName: 'db', app: { host: '198.51.100.1', port: 9 } });
    for (const leave of [(end: WireEnd) => end.reset(), (end: WireEnd) => end.close()]) {
      const client = await ends.client(port);
      client.send('early');
      leave(client);
    }
    await vi.waitFor(async () => {
      const { threads: [thread] } = await plane.describe() as { threads: { connections: number; pools: { active: number; open: number }[] }[] };
      expect(thread).toMatchObject({ connections: 0 });
      expect(thread?.pools.filter(({ active, open: connections }) => active + connections > 0)).toEqual([]);
    });
  });
});

describe('an outbound port for one destination', () => {
  it('leads to the TCP port it names, chooses among instances, and passes over those that are not there', async () => {
    const [up, gone] = [await ends.upstream(greets), await ends.upstream(() => {})];
    gone.close();
    const { plane } = await start('service', (builder) => builder.destination({
      service: 'mail', ports: [{ name: 'http', port: 80, protocol: 'http' }, { name: 'smtp', port: 25, protocol: 'tcp' }], settings: builder.settings(section(timeoutAuthoring, {})),
    }));
    await endpoints(plane, 'mail', 'smtp', up);
    const port = await listen(plane, { name: 'outbound/mail:25', side: 'outbound', destination: 'mail:25' });
    const client = await ends.client(port);
    await client.untilText('220 ready');
    client.send('helo\n');
    client.end();
    await client.untilText('bye');
    expect(client.text).toContain('HELO\n');
    await vi.waitFor(() => expect(plane.readSeries()).toMatchObject([{ side: 'outbound', route: 'tcp/smtp', destination: 'mail', tunnels: { opened: 1, active: 0 } }]));
  });

  it('ends a connection after a silence in both directions', async () => {
    const up = await ends.upstream(() => {});
    const { plane, refusals } = await start('service', (builder) => builder.destination({
      service: 'db', ports: [{ name: 'sql', port: 5432, protocol: 'tcp' }], settings: builder.settings(section(timeoutAuthoring, { tunnelIdle: '600ms' })),
    }));
    await endpoints(plane, 'db', 'sql', up);
    const client = await ends.client(await listen(plane, { name: 'outbound/db', side: 'outbound', destination: 'db' }));
    await client.until(() => client.state === 'reset');
    await (await up.connection(1)).until(() => up.connections[0]?.state === 'reset');
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason: 'stream-idle', kind: 'timeout', pointer: '/tunnelIdle', destination: 'db' }]));
  });
});

const route = (name: string, listener: string, service: string, hosts: string[] = []): object => ({
  name, ports: [listener], scope: Scope.SCOPE_GATEWAY, match: { hosts }, action: { $case: 'forward', value: { targets: [{ service, port: 'sql', weight: 1 }] } },
});

describe('a gateway\'s listener', () => {
  it('for TCP leads where its Route says', async () => {
    const up = await ends.upstream(greets);
    const { plane } = await start('gateway', (builder) => builder.listener({ name: 'db', protocol: 'tcp' })
      .destination({ service: 'db', ports: [{ name: 'sql', port: 5432, protocol: 'tcp' }] }).route(route('db', 'db', 'db') as { name: string }));
    await endpoints(plane, 'db', 'sql', up);
    const question = { side: 'gateway', method: 'GET', authority: 'any', path: '/', headers: {} } as const;
    expect(await plane.explainRequest(question)).toMatchObject({ listener: 'db', carries: 'tcp', route: 'db', outcome: 'forward', targets: [{ service: 'db', port: 'sql', endpoints: [{ address: `127.0.0.1:${up.port}` }] }] });
    const client = await ends.client(await listen(plane, { name: 'gateway/db', side: 'gateway', portName: 'db' }));
    await client.untilText('220 ready');
    client.end();
    await client.untilText('bye');
    await vi.waitFor(() => expect(plane.readSeries()).toMatchObject([{ side: 'gateway', route: 'db', destination: 'db', requests: 1 }]));
  });

  it('for TCP without a Route closes what comes, with a reason', async () => {
    const { plane, refusals } = await start('gateway', (builder) => builder.listener({ name: 'db', protocol: 'tcp' }));
    const client = await ends.client(await listen(plane, { name: 'gateway/db', side: 'gateway', portName: 'db' }));
    await client.untilClosed();
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason: 'no-route', route: 'tcp/db', side: 'gateway' }]));
  });

  it('that leads requests to a TCP port, or the other way round, is refused with its snapshot', async () => {
    await expect(start('gateway', (builder) => builder.listener({ name: 'web' })
      .destination({ service: 'db', ports: [{ name: 'sql', port: 5432, protocol: 'tcp' }] }).route(route('db', 'web', 'db') as { name: string }))).rejects.toThrow(/wrong-protocol/);
  });

  it.each([1, 2] as const)('behind a PROXY protocol header (version %i) knows the client by it, and passes on what follows', async (version) => {
    const up = await ends.upstream(greets);
    const { plane, refusals } = await start('gateway', (builder) => {
      const settings = builder.settings(section(ipAccessAuthoring, { deny: { elsewhere: '192.0.2.0/24' } }));
      builder.listener({ name: 'db', protocol: 'tcp', proxyProtocol: 'required', settings })
        .destination({ service: 'db', ports: [{ name: 'sql', port: 5432, protocol: 'tcp' }] }).route({ ...route('db', 'db', 'db') as { name: string }, settings });
    }, { trustedProxies: ['127.0.0.1/32'] });
    await endpoints(plane, 'db', 'sql', up);
    const port = await listen(plane, { name: 'gateway/db', side: 'gateway', portName: 'db' });
    const from = (sourceAddress: string): Buffer => writeProxyHeader({ version, addresses: { sourceAddress, sourcePort: 1234, destinationAddress: '198.51.100.1', destinationPort: 5432 } });
    const client = await ends.client(port);
    client.send(Buffer.concat([from('203.0.113.7'), Buffer.from('hello\n')]));
    client.end();
    await client.untilText('221 bye');
    expect(client.text).toBe('220 ready\nHELLO\n221 bye\n');
    const denied = await ends.client(port);
    const header = from('192.0.2.9');
    denied.send(header.subarray(0, 9));
    await new Promise(setImmediate);
    denied.send(header.subarray(9));
    await denied.untilClosed();
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason: 'ip-denied', clientAddress: '192.0.2.9' }]));
  });

  it('for TLS leads by the name in the ClientHello, and the bytes stay between client and service', async () => {
    const authority = new TestAuthority();
    const servers = await Promise.all(['a.example', 'b.example'].map((name) => tlsServer(authority, name)));
    const { plane, refusals } = await start('gateway', (builder) => {
      builder.listener({ name: 'tls', protocol: 'tls' });
      for (const name of ['a', 'b']) builder.destination({ service: name, ports: [{ name: 'sql', port: 443, protocol: 'tls' }] }).route(route(name, 'tls', name, [`${name}.example`]) as { name: string });
    });
    const sets = ['a', 'b'].map((service, i) => EndpointSet.encode(EndpointSet.fromPartial({ service, endpoints: [{ id: 'i', weight: 1, ports: [{ name: 'sql', host: '127.0.0.1', port: servers[i] ?? 0 }] }] })).finish());
    await plane.applyEndpoints({ full: true, removed: [], sets });
    const port = await listen(plane, { name: 'gateway/tls', side: 'gateway', portName: 'tls' });
    for (const name of ['a.example', 'b.example']) expect(await tlsGreeting(port, name, authority.cert)).toBe(`I am ${name}`);
    expect(await tlsGreeting(port, 'c.example', authority.cert).catch(() => '')).toBe('');
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason: 'no-route', authority: 'c.example' }]));
    const plain = await ends.client(port);
    plain.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await plain.untilClosed();
    expect(plain.text).toBe('');
  });
});

function keepLines(lines: string[]): LogWriter {
  return (text, written) => {
    lines.push(...text.toString().split('\n').filter((line) => line !== ''));
    written();
  };
}

async function tlsServer(authority: TestAuthority, name: string): Promise<number> {
  const server = tls.createServer(authority.issue({ dns: [name] }), (socket) => socket.end(`I am ${name}`));
  ends.later(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

function tlsGreeting(port: number, servername: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = tls.connect({ port, host: '127.0.0.1', servername, ca }, () => {});
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('end', () => resolve(text));
  });
}
