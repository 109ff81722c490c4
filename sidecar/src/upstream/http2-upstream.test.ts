import net from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ExchangeClient } from '../testdata/exchange-client.ts';
import { endpointOf } from '../testdata/exchange-server.ts';
import {
  END_HEADERS, END_STREAM, FrameServer, T, answerAll, data, fieldBlock, frame, goAway, head, initialWindow, maxStreams, reset, settings, trailers, windowUpdate,
  type FrameEnd,
} from '../testdata/frame-server.ts';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function setUp(behave: (end: FrameEnd, nth: number) => unknown, options: Partial<RigOptions> & { greeting?: Uint8Array } = {}) {
  const server = await FrameServer.start(behave, options.greeting);
  closers.push(() => server.close());
  const rig = await GatewayRig.start({ upstreams: [], endpoints: [endpointOf('http2', server.port)], retries: {}, ...options });
  closers.push(() => rig.close());
  const client = new ExchangeClient('http1', rig.port);
  closers.push(() => client.close());
  return { server, rig, client };
}

async function poolOf(rig: GatewayRig) {
  const { threads } = (await rig.plane.describe()) as { threads: { pools: { open: number; streams: number; waiting: number; connections: { state: string; streamsMax: number }[] }[]; counters: Record<string, number> }[] };
  const pool = threads[0]?.pools[0];
  return { open: 0, streams: 0, waiting: 0, connections: [], ...pool, counters: threads[0]?.counters ?? {} };
}

/** The first connection misbehaves after its request, the others answer. */
function firstThenAnswer(misbehave: (end: FrameEnd, id: number) => unknown): (end: FrameEnd, nth: number) => Promise<void> {
  return async (end, nth) => {
    if (nth > 1) return answerAll(end);
    await misbehave(end, await end.request());
    return answerAll(end, 2);
  };
}

describe('an HTTP/2 upstream that', () => {
  it.each<[string, (end: FrameEnd, id: number) => unknown, string]>([
    ['speaks HTTP/1.1', (end) => end.send(Buffer.from('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')), 'upstream-protocol-error'],
    ['closes', (end) => end.drop(), 'upstream-reset'],
    ['sends DATA before a head', (end, id) => end.send(data(id, 'x')), 'upstream-protocol-error'],
    ['sends a head without status', (end, id) => end.send(frame(T.headers, END_HEADERS | END_STREAM, id, fieldBlock({ a: 'b' }))), 'upstream-protocol-error'],
    ['sends upper case names', (end, id) => end.send(head(id, { 'X-Bad': '1' })), 'upstream-protocol-error'],
    ['sends connection fields', (end, id) => end.send(head(id, { connection: 'close' })), 'upstream-protocol-error'],
    ['splits its fields with CR LF', (end, id) => end.send(head(id, { a: 'b\r\nset-cookie: c' })), 'upstream-protocol-error'],
    ['pushes', (end, id) => end.send(frame(T.push, END_HEADERS, id, Buffer.concat([Buffer.from([0, 0, 0, 2]), fieldBlock({ ':path': '/' })]))), 'upstream-protocol-error'],
    ['answers a stream that nobody opened', (end) => end.send(head(99)), 'upstream-protocol-error'],
    ['breaks its compression', (end, id) => end.send(frame(T.headers, END_HEADERS, id, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))), 'upstream-protocol-error'],
    ['sends larger frames than it may', (end, id) => end.send(head(id), frame(T.data, 0, id, Buffer.alloc(20_000))), 'upstream-protocol-error'],
    ['sends endless interim heads', (end, id) => end.send(...Array.from({ length: 100 }, () => head(id, { ':status': '103' }))), 'upstream-protocol-error'],
    ['sends endless CONTINUATION', (end, id) => end.send(frame(T.headers, 0, id, fieldBlock({ ':status': '200' })), ...Array.from({ length: 1000 }, () => frame(T.continuation, 0, id, fieldBlock({ a: 'b' })))), 'upstream-protocol-error'],
    ['sends more fields than allowed', (end, id) => end.send(head(id, Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`x-${i}`, 'y'])))), 'upstream-protocol-error'],
    ['overflows a window', (end, id) => end.send(windowUpdate(id, 0x7fffffff)), 'upstream-protocol-error'],
    ['overflows the window of the connection', (end) => end.send(windowUpdate(0, 0x7fffffff)), 'upstream-protocol-error'],
    ['floods SETTINGS', (end) => end.send(...Array.from({ length: 20_000 }, () => settings(maxStreams(100)))), 'upstream-protocol-error'],
    ['floods PING', (end) => end.send(...Array.from({ length: 20_000 }, () => frame(T.ping, 0, 0, Buffer.alloc(8)))), 'upstream-protocol-error'],
    ['floods WINDOW_UPDATE', (end) => end.send(...Array.from({ length: 20_000 }, () => windowUpdate(0, 1))), 'upstream-protocol-error'],
    ['floods empty DATA', (end, id) => end.send(head(id), ...Array.from({ length: 20_000 }, () => data(id, '', false))), 'upstream-protocol-error'],
    ['resets the stream', (end, id) => end.send(reset(id, 2)), 'upstream-reset'],
  ])('%s costs that request its answer, and nothing else', async (name, misbehave, reason) => {
    const { rig, client, server } = await setUp(async (end, nth) => {
      if (nth > 1) return answerAll(end);
      await misbehave(end, await end.request());
      return answerAll(end, 2);
    });
    const begun = name.includes('frames than it may') || name.includes('empty DATA');
    if (begun) await expect(client.fetch({ method: 'POST', body: 'x' })).rejects.toThrow(/hang up|aborted|broken off|closed|ECONNRESET/);
    else {
      const answer = await client.fetch({ method: 'POST', body: 'x' });
      expect([answer.status, answer.headers['x-remora-reason']]).toEqual([502, reason]);
    }
    const after = await client.fetch();
    expect([after.status, after.text.startsWith('stream')]).toEqual([200, true]);
    client.close();
    await rig.untilNothingIsLeft();
    expect(server.ends.length).toBeLessThanOrEqual(2);
  });

  it.each([['longer', 'four', '3'], ['shorter', 'two', '4']])('sends a body %s than it says breaks the answer off', async (_, body, length) => {
    const { client, server } = await setUp(firstThenAnswer((end, id) => end.send(head(id, { 'content-length': length }), data(id, body))));
    await expect(client.fetch()).rejects.toThrow(/hang up|aborted|broken off|closed|ECONNRESET/);
    expect((await client.fetch()).status).toBe(200);
    expect((await server.ends[0]?.frame(T.reset))?.payload.readUInt32BE()).toBe(1);
  });

  it.each<[string, (end: FrameEnd, id: number) => unknown]>([
    ['refuses the stream', (end, id) => end.send(reset(id, 7))],
    ['says GOAWAY before it', (end) => end.send(goAway(0))],
    ['says GOAWAY before it, and closes', (end) => { end.send(goAway(0)); setImmediate(() => end.drop()); }],
  ])('%s has the request made again, whatever its method, with its body', async (_, misbehave) => {
    const { client, rig } = await setUp(async (end, nth) => {
      const id = await end.request();
      if (nth === 1) {
        await end.frame(T.data);
        await misbehave(end, id);
        return answerAll(end, 2);
      }
      const body = await end.frame(T.data);
      end.send(head(id), data(id, `again: ${body?.payload.toString() ?? ''}`));
      return answerAll(end, 2);
    });
    const answer = await client.fetch({ method: 'POST', body: 'precious' });
    expect(answer.status).toBe(200);
    expect(answer.text).toMatch(/again: precious|stream 3/);
    expect((await poolOf(rig)).counters['retry_repeated']).toBe(1);
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('refuses twice is 503 with the reason', async () => {
    const { client } = await setUp(async (end) => {
      for (let nth = 1; !end.closed; nth++) end.send(reset(await end.request(nth), 7));
    });
    const answer = await client.fetch({ method: 'POST', body: 'x' });
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([503, 'refused-stream']);
  });

  it('says GOAWAY finishes what it has begun, and gets nothing new', async () => {
    const finish = Promise.withResolvers<void>();
    const { client, server, rig } = await setUp(async (end, nth) => {
      if (nth > 1) return answerAll(end);
      const id = await end.request();
      end.send(head(id), data(id, 'begun ', false), goAway(id));
      await finish.promise;
      end.send(data(id, 'and finished'));
    });
    const first = client.send({ body: null });
    await first.head;
    await vi.waitUntil(async () => (await poolOf(rig)).connections[0]?.state === 'draining');
    expect((await client.fetch()).text).toBe('stream 1');
    finish.resolve();
    expect((await first.body()).toString()).toBe('begun and finished');
    await server.ends[0]?.untilClosed();
    expect(server.ends).toHaveLength(2);
    expect((await poolOf(rig)).counters['upstream_goaway']).toBe(1);
  });

  it('says GOAWAY under load loses no request', async () => {
    const { client, server } = await setUp(async (end, nth) => {
      if (nth > 1) return answerAll(end);
      // Nothing is answered before all of them are there.
      await end.request(60);
      for (let i = 1; i <= 20; i++) end.send(head(i * 2 - 1), data(i * 2 - 1, 'x'));
      end.send(goAway(39));
      return undefined;
    });
    const answers = await Promise.all(Array.from({ length: 60 }, () => client.fetch({ method: 'POST', body: 'x' })));
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(server.ends).toHaveLength(2);
  });

  it('ends its answer before the request has ended, with NO_ERROR, is believed', async () => {
    const { client, server } = await setUp(firstThenAnswer((end, id) => end.send(head(id, { ':status': '413' }), data(id, 'enough'), reset(id, 0))));
    const exchange = client.send({ method: 'POST', headers: { 'content-length': '100000' } });
    exchange.request.write('part');
    expect([(await exchange.head).status, (await exchange.body()).toString()]).toEqual([413, 'enough']);
    expect((await client.fetch()).status).toBe(200);
    expect(server.ends[0]?.closed).toBe(false);
  });

  it('answers before the request has ended is told that no more comes', async () => {
    const { client, server } = await setUp(firstThenAnswer((end, id) => end.send(head(id, { ':status': '403' }, true))));
    const exchange = client.send({ method: 'POST', headers: { 'content-length': '100000' } });
    exchange.request.write('part');
    expect((await exchange.head).status).toBe(403);
    expect((await server.ends[0]?.frame(T.reset))?.payload.readUInt32BE()).toBe(0);
  });

  it('answers with trailers and nothing else is passed on', async () => {
    const { client } = await setUp(async (end) => {
      const id = await end.request();
      end.send(head(id, { 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'no such thing' }, true));
      const next = await end.request(2);
      end.send(head(next), trailers(next, { 'x-sum': '1' }));
    });
    const only = await client.fetch();
    expect([only.status, only.headers['grpc-status'], only.headers['grpc-message'], only.text]).toEqual([200, '5', 'no such thing', '']);
    const empty = await client.fetch();
    expect([empty.text, empty.trailers['x-sum']]).toEqual(['', '1']);
  });
});

describe('streams', () => {
  it('of one connection are as many as the peer takes; further calls get further connections, and nobody waits', async () => {
    const release = Promise.withResolvers<void>();
    const { client, server, rig } = await setUp(async (end) => {
      for (let nth = 1; !end.closed; nth++) {
        const id = await end.request(nth);
        void release.promise.then(() => end.send(head(id), data(id, 'x')));
      }
    }, { greeting: settings(maxStreams(8)) });
    const first = client.fetch();
    await vi.waitUntil(async () => (await poolOf(rig)).connections[0]?.streamsMax === 8);
    const others = Array.from({ length: 39 }, () => client.fetch());
    await vi.waitUntil(() => server.ends.reduce((sum, { frames }) => sum + frames.filter(({ type }) => type === T.headers).length, 0) === 40);
    for (const { frames } of server.ends) expect(frames.filter(({ type }) => type === T.headers).length).toBeLessThanOrEqual(8);
    release.resolve();
    for (const { status } of await Promise.all([first, ...others])) expect(status).toBe(200);
  });

  it('have their next connection before the one in use is full', async () => {
    const { client, server, rig } = await setUp(() => {}, { greeting: settings(maxStreams(8)) });
    void client.fetch().catch(() => {});
    await vi.waitUntil(async () => (await poolOf(rig)).connections[0]?.streamsMax === 8);
    for (let i = 0; i < 5; i++) void client.fetch().catch(() => {});
    await vi.waitUntil(() => server.ends.length === 2);
    expect(server.ends[1]?.frames.filter(({ type }) => type === T.headers)).toHaveLength(0);
  });

  it('wait where the peer takes none, until it does', async () => {
    const { client, server, rig } = await setUp((end) => answerAll(end, 2), { greeting: settings(maxStreams(0)) });
    const early = client.fetch();
    await vi.waitUntil(async () => (await poolOf(rig)).connections[0]?.streamsMax === 0);
    // It went out before the SETTINGS came.
    server.ends[0]?.send(reset(1, 7));
    await vi.waitUntil(async () => (await poolOf(rig)).waiting === 1);
    const late = client.fetch();
    await vi.waitUntil(async () => (await poolOf(rig)).waiting === 2);
    server.ends[0]?.send(settings(maxStreams(10)));
    for (const { status } of await Promise.all([early, late])) expect(status).toBe(200);
    expect(server.ends).toHaveLength(1);
  });

  it('beyond what may wait are refused at once', async () => {
    const { client, rig } = await setUp(() => {}, { greeting: settings(maxStreams(1)), poolLimits: { connectionsMax: 1, waitingMax: 2, streamsPerConnectionMax: 1 } });
    for (let i = 0; i < 3; i++) void client.fetch().catch(() => {});
    await vi.waitUntil(async () => (await poolOf(rig)).waiting === 2);
    const answer = await client.fetch();
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([503, 'upstream-overflow']);
  });

  it('whose peer gives no window hold their client back, and end after a while', async () => {
    const { client, server } = await setUp(() => {}, { greeting: settings(initialWindow(0)), timeouts: { request: '1s' } });
    const answer = await client.fetch({ method: 'POST', body: 'x'.repeat(200_000) });
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([504, 'upstream-timeout']);
    // What was on its way before the SETTINGS came, at most.
    expect(server.ends[0]?.frames.filter(({ type }) => type === T.data).reduce((sum, { payload }) => sum + payload.length, 0)).toBeLessThanOrEqual(65_535);
    expect((await server.ends[0]?.frame(T.reset))?.payload.readUInt32BE()).toBe(8);
  });
});

describe('a connection', () => {
  it('that is not made in time is given up, and the next call has another', async () => {
    const sockets: net.Socket[] = [];
    const { client, rig } = await setUp((end) => answerAll(end), {
      retries: { retries: 0 },
      timeouts: { connect: '1500ms' },
      dial: (options) => {
        // The first one is a packet that was lost.
        sockets.push(sockets.length === 0 ? new net.Socket() : net.connect(options));
        return sockets.at(-1) as net.Socket;
      },
    });
    const answer = await client.fetch();
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([503, 'connect-timeout']);
    expect((await client.fetch()).text).toBe('stream 1');
    expect(sockets).toHaveLength(2);
    expect(sockets[0]?.destroyed).toBe(true);
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('that is idle for too long closes with GOAWAY', async () => {
    const { client, server, rig } = await setUp((end) => answerAll(end), { poolLimits: { idleTimeoutMs: 50 } });
    await client.fetch();
    await server.ends[0]?.untilClosed();
    expect(server.ends[0]?.frames.at(-1)?.type).toBe(T.goAway);
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('that is too old takes no more, and finishes what it has', async () => {
    const { client, server, rig } = await setUp(async (end, nth) => {
      if (nth > 1) return answerAll(end);
      const id = await end.request();
      end.send(head(id), data(id, 'a', false));
      return undefined;
    }, { poolLimits: { maxAgeMs: 60 } });
    const first = client.send({ body: null });
    await first.head;
    await vi.waitUntil(async () => (await poolOf(rig)).connections[0]?.state === 'draining');
    expect((await client.fetch()).text).toBe('stream 1');
    server.ends[0]?.send(data(1, 'b'));
    expect((await first.body()).toString()).toBe('ab');
    await server.ends[0]?.untilClosed();
  });

  it('that has served its requests takes no more', async () => {
    const { client, server } = await setUp((end) => answerAll(end), { poolLimits: { requestsPerConnectionMax: 3 } });
    for (let i = 0; i < 7; i++) expect((await client.fetch()).status).toBe(200);
    expect(server.ends).toHaveLength(3);
    await server.ends[0]?.untilClosed();
  });

  it('on which clients cancel again and again takes no more, long before its peer ends it with everybody\'s calls', async () => {
    const { rig, server } = await setUp((end) => end.until(() => end.closed));
    const seen = (type: number): number[] => server.ends.map(({ frames }) => frames.filter((frame) => frame.type === type).length);
    const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);
    for (let cancelled = 100; cancelled <= 600; cancelled += 100) {
      const client = new ExchangeClient('http2', rig.port);
      const sent = Array.from({ length: 100 }, () => client.send({ body: null }));
      await vi.waitFor(() => expect(sum(seen(T.headers))).toBe(cancelled));
      for (const each of sent) {
        each.head.catch(() => undefined);
        each.cancel();
      }
      await vi.waitFor(() => expect(sum(seen(T.reset))).toBe(cancelled));
      client.close();
    }
    expect(Math.max(...seen(T.reset))).toBeLessThanOrEqual(500);
    expect((await poolOf(rig)).counters['upstream_retired']).toBeGreaterThan(0);
  });

  it('that has gone silent is noticed by PING while a call waits', async () => {
    const { client, server } = await setUp((end, nth) => (nth === 1 ? undefined : answerAll(end)), { poolLimits: { keepAliveMs: 200, keepAliveTimeoutMs: 800 } });
    const answer = await client.fetch();
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([502, 'upstream-reset']);
    expect(server.ends[0]?.frames.filter(({ type, flags }) => type === T.ping && flags === 0)).toHaveLength(1);
    expect((await client.fetch()).text).toBe('stream 1');
  });

  it.each([true, false])('that is idle is asked by PING only where that is wanted: %s', async (keepAliveIdle) => {
    const { client, server } = await setUp((end) => answerAll(end), { poolLimits: { keepAliveMs: 300, keepAliveIdle, idleTimeoutMs: 1_000 } });
    await client.fetch();
    await server.ends[0]?.untilClosed();
    expect(server.ends[0]?.frames.some(({ type }) => type === T.ping)).toBe(keepAliveIdle);
  });

  it('of an address that no endpoint names any more closes when its calls are over', async () => {
    const { client, server, rig } = await setUp(async (end) => {
      const id = await end.request();
      end.send(head(id), data(id, 'a', false));
    });
    const first = client.send({ body: null });
    await first.head;
    await rig.setEndpoints([]);
    server.ends[0]?.send(data(1, 'b'));
    expect((await first.body()).toString()).toBe('ab');
    await server.ends[0]?.untilClosed();
  });
});
