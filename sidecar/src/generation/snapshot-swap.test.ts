import { afterEach, describe, expect, it, vi } from 'vitest';
import { EndpointSet, Scope } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { WireEnd, WireUpstream, echoRequests } from '@remora/testing/wire-end';
import { runtimeKinds } from '../kinds.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';
import { GatewayRig, endpointAt } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function upstream(behave: (end: WireEnd, nth: number) => unknown): Promise<WireUpstream> {
  const started = await WireUpstream.start(behave);
  closers.push(() => started.close());
  return started;
}

async function client(port: number): Promise<WireEnd> {
  const end = await WireEnd.connect(port);
  closers.push(() => end.close());
  return end;
}

function named(name: string): (end: WireEnd) => Promise<void> {
  return async (end) => {
    for (let nth = 1; (await end.message('request', nth)) !== null; nth++) end.send(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`);
  };
}

const get = (target = '/', host = 'a'): string => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const prefix = (value: string): { path: { kind: { $case: 'prefix'; value: string } } } => ({ path: { kind: { $case: 'prefix', value } } });

async function bodyOf(end: WireEnd, nth: number): Promise<string> {
  return Buffer.concat((await end.message('response', nth))?.body ?? []).toString();
}

describe('a swap', () => {
  it('holds for the next request of an open connection, while what runs finishes on what it started with', async () => {
    let finish = (): void => {};
    const up = await upstream(async (end) => {
      await end.message('request', 1);
      finish = () => end.send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold');
    });
    const gateway = await GatewayRig.start({ upstreams: [up.port] });
    closers.push(() => gateway.close());
    const end = await client(gateway.port);
    end.send(get('/x'));
    await (await up.connection(1)).message('request', 1);
    await gateway.apply(gateway.candidate({ routes: [{ name: 'gone', match: prefix('/elsewhere') }] }));
    finish();
    expect(await bodyOf(end, 1)).toBe('old');
    end.send(get('/x'));
    expect((await end.message('response', 2))?.head.status).toBe(404);
  });

  it('of limits holds for open connections', async () => {
    const up = await upstream(echoRequests);
    const gateway = await GatewayRig.start({ upstreams: [up.port] });
    closers.push(() => gateway.close());
    const end = await client(gateway.port);
    end.send(get('/1'));
    await end.message('response', 1);
    await gateway.apply(gateway.candidate({ limits: { headerCount: 2 } }));
    end.send('GET /2 HTTP/1.1\r\nHost: a\r\nx: 1\r\ny: 2\r\n\r\n');
    await end.untilClosed();
    expect(end.text).toContain('HTTP/1.1 431 ');
  });

  it('is refused whole where a route cannot be built; what was served is served on', async () => {
    const up = await upstream(named('first'));
    const gateway = await GatewayRig.start({ upstreams: [up.port] });
    closers.push(() => gateway.close());
    const bad = gateway.candidate({ routes: [{ name: 'fine', match: prefix('/') }, { name: 'bad', match: { path: { kind: { $case: 'regex', value: '(' } } } }] });
    const prepared = await gateway.plane.prepare(bad);
    expect(prepared).toMatchObject({ ok: false, errors: [{ resource: expect.stringContaining('bad') as string, pointer: expect.stringContaining('path') as string }] });
    const end = await client(gateway.port);
    end.send(get());
    expect(await bodyOf(end, 1)).toBe('first');
  });

  it('of 500 snapshots under load explains every answer by one of them, and leaves nothing behind', async () => {
    const up = await upstream(named('x'));
    const gateway = await GatewayRig.start({ upstreams: [up.port] });
    closers.push(() => gateway.close());
    const running = { on: true };
    let answers = 0;
    const load = Array.from({ length: 4 }, async () => {
      let end = await client(gateway.port);
      let nth = 0;
      while (running.on) {
        // A busy machine is told apart from a swap that cuts: an overloaded thread says that it closes.
        if (/connection: close/i.test(end.text)) end = await client(gateway.port);
        end.received = Buffer.alloc(0);
        end.send(get());
        await end.until(() => end.text.endsWith('\r\n\r\nx') || end.state !== 'open');
        expect(end.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
        answers++;
        nth++;
      }
      return nth;
    });
    for (let i = 0; i < 500; i++) {
      await gateway.apply(gateway.candidate({ routes: [{ name: `r${i % 3}`, match: prefix('/'), priority: i % 5 }] }));
      const before = answers;
      await vi.waitUntil(() => answers > before, { interval: 1 });
    }
    running.on = false;
    await Promise.all(load);
    expect(answers).toBeGreaterThanOrEqual(500);
    expect(await gateway.plane.describe()).toMatchObject({ threads: [{ liveStates: ofTheUsualBalancer, snapshot: { version: '1.501' } }] });
  });
});

describe('a service', () => {
  const service = { kind: 'service', name: 'orders' } as const;

  async function sidecar(build: (builder: CandidateBuilder) => CandidateBuilder): Promise<LocalDataPlane> {
    const plane = new LocalDataPlane({ nodeId: 'orders-1', kinds: runtimeKinds });
    closers.push(() => plane.close());
    const candidate = build(new CandidateBuilder(service).fleet()).build();
    const prepared = await plane.prepare(candidate);
    expect(prepared).toMatchObject({ ok: true });
    await plane.swap(candidate.hash, candidate.version);
    return plane;
  }

  async function listenInbound(plane: LocalDataPlane, app: number, portName?: string): Promise<number> {
    const spec = { name: 'inbound', side: 'inbound', host: '127.0.0.1', port: 0, app: { host: '127.0.0.1', port: app }, ...(portName !== undefined && { portName }) } as const;
    return (await plane.listen([spec]))[0]?.port ?? 0;
  }

  it('passes what comes in to its own app, whatever the host says, rewritten as its routes say', async () => {
    const app = await upstream(echoRequests);
    const plane = await sidecar((builder) => builder.inbound({ portName: 'http' })
      .route({ name: 'strip', scope: Scope.SCOPE_INBOUND, match: prefix('/v1'), rewrite: { path: { $case: 'prefix', value: '/' } } }));
    const end = await client(await listenInbound(plane, app.port));
    end.send(get('/v1/x?y', 'payments'));
    expect(JSON.parse(await bodyOf(end, 1))).toMatchObject({ target: '/x?y' });
    end.send(get('/other', 'anything.example'));
    expect(JSON.parse(await bodyOf(end, 2))).toMatchObject({ target: '/other' });
    expect(plane.readSeries().map(({ side, route, requests }) => [side, route, requests])).toEqual([['inbound', 'strip', 1], ['inbound', '', 1]]);
  });

  it('answers redirects and fixed responses itself', async () => {
    const app = await upstream(echoRequests);
    const plane = await sidecar((builder) => builder.inbound({ portName: 'http' })
      .route({ name: 'moved', match: prefix('/old'), action: { $case: 'redirect', value: { status: 308, keepQuery: true, rewrite: { path: { $case: 'prefix', value: '/new' } } } } })
      .route({ name: 'hello', match: prefix('/hello'), action: { $case: 'respond', value: { status: 418, body: Buffer.from('tea'), contentType: 'text/plain', headers: [{ name: 'X-Pot', value: 'yes' }], delayMs: 20 } } }));
    const end = await client(await listenInbound(plane, app.port));
    end.send(get('/old/a?b', 'shop.example:8443'));
    await end.message('response', 1);
    expect(end.text).toMatch(/^HTTP\/1\.1 308 Permanent Redirect\r\nlocation: http:\/\/shop\.example:8443\/new\/a\?b\r\nx-remora-origin: remora\r\n/);
    end.send(get('/hello'));
    expect(await bodyOf(end, 2)).toBe('tea');
    expect(end.text).toContain('HTTP/1.1 418 ');
    expect(end.text).toContain('x-pot: yes\r\ncontent-type: text/plain\r\n');
    end.send(`HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n`);
    await end.until(() => end.text.split('HTTP/1.1 418').length === 3 && end.text.endsWith('content-length: 3\r\n\r\n'));
    expect(app.connections).toHaveLength(0);
  });

  it('reaches its destinations by name, by name and port, as a proxy, and through a listener of their own; nobody else', async () => {
    const [http, grpc] = await Promise.all([upstream(named('http')), upstream(named('admin'))]);
    const plane = await sidecar((builder) => builder.destination({
      service: 'payments', ports: [{ name: 'http', port: 8080, protocol: 'http' }, { name: 'admin', port: 9000, protocol: 'http' }],
    }));
    const ports = [{ name: 'http', host: '127.0.0.1', port: http.port }, { name: 'admin', host: '127.0.0.1', port: grpc.port }];
    await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'payments', endpoints: [{ id: 'p1', weight: 1, ports }] })).finish()] });
    const bound = await plane.listen([
      { name: 'outbound', side: 'outbound', host: '127.0.0.1', port: 0 }, { name: 'outbound/payments', side: 'outbound', host: '127.0.0.1', port: 0, destination: 'payments' },
    ]);
    const end = await client(bound[0]?.port ?? 0);
    for (const [i, [text, body]] of ([
      [get('/', 'payments'), 'http'], [get('/', 'Payments:8080'), 'http'], [get('/', 'payments:9000'), 'admin'], [get('/', 'payments:80'), 'http'],
      ['GET http://payments:9000/x HTTP/1.1\r\nHost: payments:9000\r\n\r\n', 'admin'],
    ] as const).entries()) {
      end.send(text);
      expect(await bodyOf(end, i + 1)).toBe(body);
    }
    end.send(get('/', 'elsewhere.example'));
    expect(JSON.parse(await bodyOf(end, 6))).toMatchObject({ status: 502, reason: 'unknown-destination', detail: 'elsewhere.example is not among the declared destinations' });
    const fixed = await client(bound[1]?.port ?? 0);
    fixed.send(get('/', 'whatever'));
    expect(await bodyOf(fixed, 1)).toBe('http');
  });

  it('splits by weight among subsets; an empty one yields its share', async () => {
    const [v1, v2] = await Promise.all([upstream(named('v1')), upstream(named('v2'))]);
    const plane = await sidecar((builder) => builder.destination({ service: 'payments' }).route({
      name: 'split', owner: 'payments', scope: Scope.SCOPE_OUTBOUND, match: prefix('/'),
      action: { $case: 'forward', value: { targets: [{ labels: [{ key: 'version', value: 'v1' }], weight: 3 }, { labels: [{ key: 'version', value: 'v2' }], weight: 1 }] } },
    }));
    const endpoint = (up: WireUpstream, version: string): object => ({ ...endpointAt(up.port), labels: [{ key: 'version', value: version }] });
    const apply = (endpoints: object[]): Promise<void> =>
      plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'payments', endpoints })).finish()] });
    await apply([endpoint(v1, 'v1'), endpoint(v2, 'v2')]);
    const [bound] = await plane.listen([{ name: 'outbound', side: 'outbound', host: '127.0.0.1', port: 0 }]);
    const end = await client(bound?.port ?? 0);
    let nth = 0;
    const ask = async (times: number): Promise<string[]> => {
      const seen: string[] = [];
      for (let i = 0; i < times; i++) {
        end.send(get('/', 'payments'));
        seen.push(await bodyOf(end, ++nth));
      }
      return seen;
    };
    const share = (await ask(200)).filter((body) => body === 'v1').length;
    expect(share).toBeGreaterThan(120);
    expect(share).toBeLessThan(180);
    await apply([endpoint(v2, 'v2')]);
    expect(new Set(await ask(20))).toEqual(new Set(['v2']));
    await apply([]);
    expect(JSON.parse((await ask(1))[0] ?? '')).toMatchObject({ reason: 'no-destination' });
  });

  it('says before its first snapshot that there is none', async () => {
    const plane = new LocalDataPlane({ nodeId: 'n', kinds: runtimeKinds });
    closers.push(() => plane.close());
    const end = await client(await listenInbound(plane, 1, 'http'));
    end.send(get());
    expect(JSON.parse(await bodyOf(end, 1))).toMatchObject({ status: 503, reason: 'no-configuration' });
  });
});

describe('listeners', () => {
  it('follow the list: what is new is bound, what is missing closes when it is done, what is the same stays', async () => {
    const up = await upstream(named('x'));
    const gateway = await GatewayRig.start({ upstreams: [up.port] });
    closers.push(() => gateway.close());
    const end = await client(gateway.port);
    end.send(get());
    await end.message('response', 1);
    const plain = { name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: gateway.port, portName: 'plain' } as const;
    const bound = await gateway.plane.listen([plain, { ...plain, name: 'gateway/more', port: 0 }]);
    expect(bound.map(({ name }) => name)).toEqual(['gateway/plain', 'gateway/more']);
    end.send(get());
    expect(await bodyOf(end, 2)).toBe('x');
    await gateway.plane.listen(bound.slice(1).map((one) => ({ ...plain, ...one })));
    await end.untilClosed();
    await expect(client(gateway.port)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('that cannot be bound are named, and everything stays as it was', async () => {
    const up = await upstream(named('x'));
    const gateway = await GatewayRig.start({ upstreams: [up.port] });
    closers.push(() => gateway.close());
    const plain = { name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: gateway.port, portName: 'plain' } as const;
    await expect(gateway.plane.listen([plain, { ...plain, name: 'gateway/taken', port: up.port }]))
      .rejects.toThrow(`listener gateway/taken cannot be bound to 127.0.0.1:${up.port}: the port is in use`);
    const end = await client(gateway.port);
    end.send(get());
    expect(await bodyOf(end, 1)).toBe('x');
  });
});

/** What it has been told of hosts in trouble, and the memory that data threads share for it. */
const ofTheUsualBalancer = 2;
