import http2 from 'node:http2';
import type net from 'node:net';
import type { Duplex } from 'node:stream';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '@remora/testing/manual-clock';
import { webSocketAccept } from '../io/web-socket-key.ts';
import { endpointOf } from '../testdata/exchange-server.ts';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';
import { TunnelEnds, frame, tunnelsOf, untilTunnels, upgradeRequest, webSocketKey } from '../testdata/tunnel-ends.ts';

type Protocol = 'http1' | 'http2';

const ends = new TunnelEnds();
afterEach(() => ends.close());

/** One side of a tunnel, whatever carries it. */
class Side {
  received = Buffer.alloc(0);
  state: 'open' | 'end' | 'broken' = 'open';
  readonly #stream: Duplex;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    stream.on('end', () => {
      if (this.state === 'open') this.state = 'end';
    });
    const broke = (): void => {
      if (this.state === 'open') this.state = 'broken';
    };
    stream.on('error', broke);
    stream.on('aborted', broke);
    stream.on('close', () => {
      // Node tells the end of a stream before it tells that it was reset.
      if ((stream as Partial<http2.Http2Stream>).rstCode) this.state = 'broken';
      else broke();
    });
  }

  send(bytes: Uint8Array): void {
    if (this.#stream.writable) this.#stream.write(bytes);
  }

  end(): void {
    this.#stream.end();
  }

  break(): void {
    if ('resetAndDestroy' in this.#stream) (this.#stream as net.Socket).resetAndDestroy();
    // `close` would end our side first.
    else this.#stream.destroy(new Error('broken'));
  }

  async has(length: number): Promise<void> {
    await vi.waitFor(() => {
      if (this.received.length < length) throw new Error(`${this.received.length} of ${length} bytes, ${this.state}`);
    }, { timeout: 30_000, interval: 2 });
  }

  async until(...states: Side['state'][]): Promise<void> {
    await vi.waitFor(() => expect(states).toContain(this.state), { timeout: 30_000, interval: 2 });
  }
}

interface App {
  readonly port: number;
  /** Heads of requests to switch, as the app saw them. */
  readonly heads: Readonly<Record<string, unknown>>[];
  readonly sides: Side[];
}

/** Switches; `refuse` answers with this status instead. */
async function startApp(protocol: Protocol, refuse = 0, extendedConnect = true): Promise<App> {
  const [heads, sides]: [App['heads'], Side[]] = [[], []];
  if (protocol === 'http1') {
    const up = await ends.upstream(async (end) => {
      await end.untilText('\r\n\r\n');
      const head = end.text.slice(0, end.text.indexOf('\r\n\r\n'));
      heads.push(Object.fromEntries(head.split('\r\n').slice(1).map((line) => line.toLowerCase().split(': '))) as Record<string, unknown>);
      if (refuse > 0) {
        end.send(`HTTP/1.1 ${refuse} No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno`);
        return;
      }
      const key = /sec-websocket-key: (\S+)/i.exec(head)?.[1] ?? '';
      end.send(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${webSocketAccept(key)}\r\nSec-WebSocket-Protocol: chat\r\n\r\n`);
      sides.push(new Side(end.socket));
    });
    return { port: up.port, heads, sides };
  }
  const server = http2.createServer({ settings: { enableConnectProtocol: extendedConnect } });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session.on('error', () => {})));
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    heads.push(headers);
    if (refuse > 0) {
      stream.respond({ ':status': refuse });
      stream.end('no');
      return;
    }
    stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' });
    sides.push(new Side(stream));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.later(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as net.AddressInfo).port, heads, sides };
}

interface Opened {
  readonly status: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly side: Side;
  /** Of the client's connection. */
  readonly close: () => void;
}

async function connect(protocol: Protocol, port: number): Promise<Opened> {
  return protocol === 'http1' ? connectHttp1(port) : connectHttp2(port);
}

async function connectHttp1(port: number): Promise<Opened> {
  const end = await ends.client(port);
  end.send(upgradeRequest('Sec-WebSocket-Protocol: chat\r\n'));
  await end.untilText('\r\n\r\n');
  const at = end.text.indexOf('\r\n\r\n');
  const fields = Object.fromEntries(end.text.slice(0, at).split('\r\n').slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]));
  const side = new Side(end.socket);
  side.received = end.received.subarray(at + 4);
  return { status: Number(end.text.slice(9, 12)), fields, side, close: () => end.close() };
}

async function connectHttp2(port: number): Promise<Opened> {
  const session = http2.connect(`http://127.0.0.1:${port}`).on('error', () => {});
  ends.later(() => session.destroy());
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', 'sec-websocket-version': '13', 'sec-websocket-protocol': 'chat' }, { endStream: false });
  const side = new Side(stream);
  const fields = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
    stream.once('response', resolve);
    stream.once('error', reject);
  });
  return { status: Number(fields[':status']), fields, side, close: () => session.destroy() };
}

async function rig(app: App, protocol: Protocol, options: Partial<RigOptions> = {}): Promise<GatewayRig> {
  const started = await GatewayRig.start({ upstreams: [], endpoints: [endpointOf(protocol, app.port)], ...options });
  ends.later(() => started.close());
  return started;
}

const combinations = [['http1', 'http1'], ['http1', 'http2'], ['http2', 'http1'], ['http2', 'http2']] as const;

describe.each(combinations)('a WebSocket from %s to %s', (from, to) => {
  it('opens, each side in its own words', async () => {
    const app = await startApp(to);
    const gateway = await rig(app, to);
    const { status, fields } = await connect(from, gateway.port);
    expect(status).toBe(from === 'http1' ? 101 : 200);
    expect(fields['sec-websocket-protocol']).toBe('chat');
    expect(fields['sec-websocket-accept']).toBe(from === 'http1' ? webSocketAccept(webSocketKey) : undefined);
    const [head] = app.heads;
    if (to === 'http1') expect(head).toMatchObject({ upgrade: 'websocket', connection: 'upgrade', 'sec-websocket-version': '13', 'sec-websocket-protocol': 'chat' });
    else expect(head).toMatchObject({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', 'sec-websocket-version': '13' });
    expect(head?.['sec-websocket-key'] !== undefined).toBe(to === 'http1');
    if (from === 'http1' && to === 'http1') expect(head?.['sec-websocket-key']).toBe(webSocketKey.toLowerCase());
  });

  it('carries bytes as they are, both ways, and ends each side on its own', async () => {
    const app = await startApp(to);
    const gateway = await rig(app, to);
    const { side, close } = await connect(from, gateway.port);
    await vi.waitFor(() => expect(app.sides).toHaveLength(1));
    const [there] = app.sides as [Side];
    const [out, back] = [Buffer.alloc(700_000), Buffer.alloc(500_000)].map((buffer, i) => buffer.map((_byte, at) => (at * (7 + i)) >> 3));
    if (out === undefined || back === undefined) throw new Error('unreachable');
    for (let at = 0; at < out.length; at += 50_000) {
      side.send(out.subarray(at, at + 50_000));
      there.send(back.subarray(at, at + 50_000));
    }
    side.end();
    await there.has(out.length);
    await there.until('end');
    await side.has(back.length);
    expect(there.received.equals(Buffer.from(out))).toBe(true);
    expect(side.received.equals(Buffer.from(back))).toBe(true);
    there.send(Buffer.from('last'));
    await side.has(back.length + 4);
    there.end();
    await side.until('end');
    await untilTunnels(gateway, 0);
    expect(gateway.plane.readSeries()).toMatchObject([{ requests: 1, bytesIn: out.length, bytesOut: back.length + 4, tunnels: { opened: 1, active: 0 } }]);
    expect(gateway.plane.readSeries()[0]?.codes.get(101)).toBe(1);
    expect(gateway.refusals).toEqual([]);
    close();
    await gateway.untilNothingIsLeft();
  });

  it('passes a break on, from either side', async () => {
    const app = await startApp(to);
    const gateway = await rig(app, to);
    const first = await connect(from, gateway.port);
    await vi.waitFor(() => expect(app.sides).toHaveLength(1));
    first.side.break();
    await app.sides[0]?.until('broken');
    const second = await connect(from, gateway.port);
    await vi.waitFor(() => expect(app.sides).toHaveLength(2));
    app.sides[1]?.break();
    await second.side.until('broken');
    first.close();
    second.close();
    await vi.waitFor(() => expect(gateway.refusals.map(({ reason }) => reason)).toEqual(['downstream-reset', 'upstream-reset']));
    await gateway.untilNothingIsLeft();
  });

  it('leaves nothing behind, whatever both sides do', async () => {
    const app = await startApp(to);
    const gateway = await rig(app, to);
    const act = fc.constantFrom('send', 'answer', 'end', 'finish', 'break', 'fail', 'leave', 'swap');
    await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 6 }), async (acts) => {
      const nth = app.sides.length;
      const { side, close } = await connect(from, gateway.port);
      await vi.waitFor(() => expect(app.sides).toHaveLength(nth + 1));
      const there = app.sides[nth] as Side;
      const does: Readonly<Record<typeof acts[number], () => unknown>> = {
        send: () => side.send(Buffer.alloc(100_000)), answer: () => there.send(Buffer.alloc(100_000)), end: () => side.end(), finish: () => there.end(),
        break: () => side.break(), fail: () => there.break(), leave: close, swap: () => gateway.apply(gateway.candidate({ limits: { headerCount: 50 + nth } })),
      };
      for (const one of acts) {
        await does[one]();
        await new Promise(setImmediate);
      }
      close();
      there.break();
      await gateway.untilNothingIsLeft();
    }), { numRuns: 15 });
  });

  it('is ended with a Close frame on both sides', async () => {
    const app = await startApp(to);
    const gateway = await rig(app, to, { timeouts: { tunnelIdle: '1s' } });
    const { side } = await connect(from, gateway.port);
    await vi.waitFor(() => expect(app.sides).toHaveLength(1));
    side.send(frame(1, Buffer.from('hi'), { mask: true }));
    await app.sides[0]?.has(8);
    expect((await tunnelsOf(gateway)).oldest).toMatchObject([{ protocol: 'websocket', messagesIn: 1 }]);
    await side.has(4);
    expect([...side.received]).toEqual([0x88, 2, 1001 >> 8, 1001 & 255]);
    await app.sides[0]?.has(16);
    await side.until('end');
    side.end();
    app.sides[0]?.end();
    await untilTunnels(gateway, 0);
  });

  it('counts the messages of each direction by themselves, however they are cut', async () => {
    const app = await startApp(to);
    const gateway = await rig(app, to);
    const { side } = await connect(from, gateway.port);
    await vi.waitFor(() => expect(app.sides).toHaveLength(1));
    const [there] = app.sides as [Side];
    const sent = Buffer.concat([
      frame(1, Buffer.from('one'), { mask: true }), frame(2, Buffer.alloc(70_000), { mask: true }), frame(9, Buffer.from('ping'), { mask: true }),
      frame(1, Buffer.from('fragment'), { mask: true, fin: false }), frame(0, Buffer.alloc(300), { mask: true }),
    ]);
    const answered = Buffer.concat([frame(10, Buffer.from('ping')), frame(1, Buffer.alloc(0))]);
    for (let at = 0; at < sent.length; at += 9973) side.send(sent.subarray(at, at + 9973));
    there.send(answered);
    await Promise.all([there.has(sent.length), side.has(answered.length)]);
    expect((await tunnelsOf(gateway)).oldest).toMatchObject([{ messagesIn: 3, messagesOut: 1, bytesIn: sent.length, bytesOut: answered.length }]);
    expect(gateway.plane.readSeries()).toMatchObject([{ bytesIn: sent.length, bytesOut: answered.length, tunnels: { active: 1, messagesIn: 3, messagesOut: 1 } }]);
    side.end();
    there.end();
    await untilTunnels(gateway, 0);
    expect(gateway.plane.readSeries()).toMatchObject([{ bytesIn: sent.length, bytesOut: answered.length, tunnels: { opened: 1, active: 0, messagesIn: 3, messagesOut: 1 } }]);
  });

  it.each([['client', 'tunnelIdle', 'stream-idle'], ['app', 'tunnelIdle', 'stream-idle'], ['both', 'maxStream', 'max-stream-duration']])('whose %s speaks ends by timeout.%s when its time has come, not before', async (who, field, reason) => {
    const clock = new ManualClock();
    const app = await startApp(to);
    const gateway = await rig(app, to, { clock, timeouts: field === 'maxStream' ? { maxStream: '1s', tunnelIdle: '10s' } : { tunnelIdle: '300ms' } });
    const { side } = await connect(from, gateway.port);
    await vi.waitFor(() => expect(app.sides).toHaveLength(1));
    const [there] = app.sides as [Side];
    for (let i = 1; i <= 4; i++) {
      clock.advance(200);
      if (who !== 'app') side.send(frame(1, Buffer.from('hi'), { mask: true }));
      if (who !== 'client') there.send(frame(1, Buffer.from('hi')));
      await Promise.all([who === 'app' || there.has(8 * i), who === 'client' || side.has(4 * i)]);
    }
    expect(await tunnelsOf(gateway)).toMatchObject({ count: 1, oldest: [{ ageMs: 800, ending: false }] });
    clock.advance(310);
    // A Close frame behind whatever came.
    await Promise.all([side.has(4 + (who === 'client' ? 0 : 16)), there.has(8 + (who === 'app' ? 0 : 32))]);
    side.end();
    there.end();
    await untilTunnels(gateway, 0);
    await vi.waitFor(() => expect(gateway.refusals).toMatchObject([{ reason, kind: 'timeout', pointer: `/${field}` }]));
  });

  it('is refused with the app\'s answer', async () => {
    const app = await startApp(to, 403);
    const gateway = await rig(app, to);
    const { status, side } = await connect(from, gateway.port);
    expect(status).toBe(403);
    await side.has(2);
    expect(side.received.toString()).toContain('no');
    await untilTunnels(gateway, 0);
  });
});

describe('between HTTP versions', () => {
  it('a success that is no switch is an error for a client that would take it for one', async () => {
    const app = await startApp('http1', 200);
    const gateway = await rig(app, 'http1');
    expect((await connect('http1', gateway.port)).status).toBe(200);
    expect((await connect('http2', gateway.port)).status).toBe(502);
    await vi.waitFor(() => expect(gateway.refusals).toMatchObject([{ reason: 'upstream-protocol-error' }]));
  });

  it('an instance without extended CONNECT gets the request over HTTP/1.1', async () => {
    const app = await startApp('http2', 0, false);
    const both = await startApp('http1');
    const gateway = await rig(app, 'http2', { timeouts: { connect: '2s' } });
    // An app that speaks HTTP/2 only answers the second connection in its own way: the client hears that.
    const { status } = await connect('http1', gateway.port);
    expect(status).toBe(502);
    expect(app.heads).toEqual([]);
    expect(both.heads).toEqual([]);
  });

  it('bytes that come before the answer wait for it', async () => {
    const app = await startApp('http1');
    const gateway = await rig(app, 'http1');
    const session = http2.connect(`http://127.0.0.1:${gateway.port}`).on('error', () => {});
    ends.later(() => session.destroy());
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat' }, { endStream: false });
    stream.write('early');
    await vi.waitFor(() => expect(app.sides).toHaveLength(1));
    await app.sides[0]?.has(5);
    expect(app.sides[0]?.received.toString()).toBe('early');
  });

  it('another protocol than websocket, and CONNECT to an address, are refused', async () => {
    const app = await startApp('http1');
    const gateway = await rig(app, 'http1');
    const session = http2.connect(`http://127.0.0.1:${gateway.port}`).on('error', () => {});
    ends.later(() => session.destroy());
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const ask = (headers: http2.OutgoingHttpHeaders): Promise<number> => new Promise((resolve) => {
      session.request(headers, { endStream: false }).on('error', () => {}).once('response', (fields) => resolve(Number(fields[':status'])));
    });
    expect(await ask({ ':method': 'CONNECT', ':protocol': 'connect-udp', ':path': '/' })).toBe(501);
    expect(await ask({ ':method': 'CONNECT', ':authority': 'a.example:443' })).toBe(403);
    expect(app.heads).toEqual([]);
  });
});
