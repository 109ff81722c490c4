import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { reasons } from '@remora/errors/reason';
import { HOLD, WAIT, type Answer, type EdgeFilter, type Exchange, type HeldBody, type Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { WireEnd } from '@remora/testing/wire-end';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import { ExchangeClient, type TestProtocol } from '../testdata/exchange-client.ts';
import { ExchangeServer, readBody, type Handle } from '../testdata/exchange-server.ts';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';

const combinations: readonly (readonly [down: TestProtocol, up: TestProtocol])[] = [
  ['http1', 'http1'], ['http1', 'http2'], ['http2', 'http1'], ['http2', 'http2'],
];

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What a filter saw of a body when it was asked. */
interface Seen {
  readonly length: number;
  readonly complete: boolean;
  readonly text: string;
  readonly trailers: string;
}

interface Holding {
  readonly bytes: number;
  readonly decides?: (x: Exchange, body: HeldBody, context: FilterContext) => Verdict;
  /** Waits first, and asks for the body behind it. */
  readonly waits?: boolean;
}

/** A kind that holds bodies back, in the place of another one. */
function holdingKind(name: string, { bytes, decides, waits = false }: Holding, seen: Seen[]): RuntimeKind<unknown> {
  return {
    name, format: 1, side: 'provider', reasons: [], decode: () => ({}),
    edge: (_settings, context): EdgeFilter => ({
      kind: name,
      holdBytes: bytes,
      request(x) {
        if (!waits) return HOLD;
        context.timers.after(4, (late, token) => late.hold(token), x, x.token);
        return WAIT;
      },
      requestHeld(x, body) {
        const trailers: string[] = [];
        body.trailers?.forEach((field, value) => void trailers.push(`${field}: ${value}`));
        seen.push({ length: body.length, complete: body.complete, text: Buffer.from(body.bytes(bytes)).toString('latin1'), trailers: trailers.join() });
        return decides?.(x, body, context) ?? null;
      },
    }),
  };
}

const section = (kind: string): NonNullable<RigOptions['sections']>[number] => ({ kind, minFormat: 1, body: Buffer.alloc(0), origins: [] });
const refusal: Answer = { reason: { ...reasons.badRequest, code: 'not-wanted', status: 422 }, status: 422, fields: [], body: null, contentType: '', detail: '', kind: 'hmac', pointer: '' };

async function setUp([down, up]: readonly [TestProtocol, TestProtocol], holding: Holding | readonly Holding[], handle: Handle = echo, options: Partial<RigOptions> = {}) {
  const names = ['hmac', 'authorization'];
  const all = Array.isArray(holding) ? holding as Holding[] : [holding as Holding];
  const seen: Seen[] = [];
  const server = await ExchangeServer.start(up, handle);
  closers.push(() => server.close());
  const kinds = new Map([...runtimeKinds, ...all.map((one, i) => [names[i] as string, holdingKind(names[i] as string, one, seen)] as const)]);
  const rig = await GatewayRig.start({ upstreams: [], endpoints: [server.endpoint], kinds, sections: all.map((_, i) => section(names[i] as string)), ...options });
  closers.push(() => rig.close());
  const client = new ExchangeClient(down, rig.port);
  closers.push(() => client.close());
  const nothingIsLeft = async (): Promise<void> => {
    client.close();
    await rig.untilNothingIsLeft();
    expect(await heldBytes(rig)).toBe(0);
  };
  return { server, rig, client, seen, nothingIsLeft };
}

async function heldBytes(rig: GatewayRig): Promise<number> {
  const { threads } = (await rig.plane.describe()) as { threads: { heldBodies: { bytes: number } }[] };
  return threads[0]?.heldBodies.bytes ?? -1;
}

/** What came, and how it was framed. */
const echo: Handle = async (request, response) => {
  const body = await readBody(request).catch(() => null);
  if (body === null) return;
  const { 'content-length': length = 'none', 'transfer-encoding': encoding = 'none' } = request.headers;
  response.setHeader('x-framing', `${length} ${encoding}`);
  response.setHeader('x-trailers', JSON.stringify((request as IncomingMessage).trailers));
  (response as import('node:http').ServerResponse).end(body);
};

describe.each(combinations)('a body that a filter wants to see first, %s to %s', (down, up) => {
  const pair = [down, up] as const;

  it('comes to it whole, and then to the upstream as it was', async () => {
    const { client, seen, nothingIsLeft } = await setUp(pair, { bytes: 1_000 });
    const answer = await client.fetch({ method: 'POST', body: 'hello', headers: { 'content-length': '5' } });
    expect([answer.status, answer.text, answer.headers['x-framing']]).toEqual([200, 'hello', '5 none']);
    expect(seen).toEqual([{ length: 5, complete: true, text: 'hello', trailers: '' }]);
    const chunked = await client.fetch({ method: 'POST', body: 'hello' });
    expect([chunked.status, chunked.text]).toEqual([200, 'hello']);
    if (up === 'http1') expect(chunked.headers['x-framing']).toBe('none chunked');
    await nothingIsLeft();
  });

  it('may be none', async () => {
    const { client, seen, rig } = await setUp(pair, { bytes: 1_000 });
    expect((await client.fetch()).status).toBe(200);
    expect((await client.fetch({ method: 'POST', body: '', headers: { 'content-length': '0' } })).status).toBe(200);
    expect((await client.fetch({ method: 'POST', body: '' })).status).toBe(200);
    expect(seen).toEqual(Array.from({ length: 3 }, () => ({ length: 0, complete: true, text: '', trailers: '' })));
    expect(rig.plane.readPolicyEvents().get('bodies_held') ?? 0).toBeLessThan(2);
  });

  it('comes in part where it is longer, and the rest streams', async () => {
    const { client, seen, nothingIsLeft } = await setUp(pair, { bytes: 100 });
    const bytes = randomBytes(3_000_000);
    for (const headers of [{}, { 'content-length': String(bytes.length) }]) {
      const answer = await client.fetch({ method: 'POST', body: bytes, headers });
      expect(answer.body.equals(bytes)).toBe(true);
    }
    for (const one of seen) {
      expect(one).toMatchObject({ complete: false, text: bytes.subarray(0, 100).toString('latin1') });
      expect(one.length).toBeLessThanOrEqual(100 + 64 * 1_024);
    }
    expect(seen).toHaveLength(2);
    await nothingIsLeft();
  });

  it('keeps its trailers', async () => {
    const { client, seen } = await setUp(pair, { bytes: 1_000 });
    const answer = await client.fetch({ method: 'POST', body: 'data', trailers: { 'x-check': '42' } });
    expect([answer.text, answer.headers['x-trailers']]).toEqual(['data', '{"x-check":"42"}']);
    expect(seen).toEqual([{ length: 4, complete: true, text: 'data', trailers: 'x-check: 42' }]);
  });

  it('is refused before the upstream hears of it', async () => {
    const { client, server, nothingIsLeft } = await setUp(pair, { bytes: 10, decides: () => refusal });
    for (const size of [5, 2_000_000]) {
      const exchange = client.send({ method: 'POST', body: Buffer.alloc(size) });
      exchange.request.on('error', () => {});
      expect((await exchange.head).status).toBe(422);
    }
    expect(server.requests).toBe(0);
    await nothingIsLeft();
  });

  it('waits for a filter that asks somebody, or has asked somebody before', async () => {
    const decides: Holding['decides'] = (x, _body, { timers }) => {
      timers.after(4, (late, token) => late.proceed(token), x, x.token);
      return WAIT;
    };
    const { client, seen, nothingIsLeft } = await setUp(pair, { bytes: 50, decides, waits: true });
    for (const size of [0, 10, 50, 51, 300_000]) {
      const bytes = randomBytes(size);
      expect((await client.fetch({ method: 'POST', body: bytes })).body.equals(bytes)).toBe(true);
    }
    expect(seen.map(({ length }) => Math.min(length, 50))).toEqual([0, 10, 50, 50, 50]);
    await nothingIsLeft();
  });

  it('is shown to one filter after the other, as far as each wants it', async () => {
    const { client, seen } = await setUp(pair, [{ bytes: 4 }, { bytes: 20_000 }]);
    const exchange = client.send({ method: 'POST' });
    exchange.request.write('abcdef');
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    exchange.request.end('x'.repeat(30_000));
    expect((await exchange.body()).toString()).toBe(`abcdef${'x'.repeat(30_000)}`);
    expect(seen[0]).toMatchObject({ length: 6, complete: false, text: 'abcd' });
    expect(seen[1]?.length).toBeGreaterThanOrEqual(20_000);
  });

  it('holds the client back while it waits', async () => {
    let release = (): void => {};
    const { client, seen, server, rig } = await setUp(pair, { bytes: 1_000, decides: (x) => {
      const { token } = x;
      release = () => x.proceed(token);
      return WAIT;
    } });
    const total = 32 * 1_024 * 1_024;
    const exchange = client.send({ method: 'POST' });
    let sent = 0;
    const piece = Buffer.alloc(64 * 1_024);
    const go = (): void => {
      while (sent < total) {
        sent += piece.length;
        if (!exchange.request.write(piece)) return void exchange.request.once('drain', go);
      }
      exchange.request.end();
    };
    go();
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    let before = -1;
    await vi.waitUntil(() => before === (before = sent), { timeout: 5_000, interval: 150 });
    expect(sent).toBeLessThan(16 * 1_024 * 1_024);
    expect(await heldBytes(rig)).toBeLessThan(256 * 1_024);
    expect(server.requests).toBe(0);
    release();
    expect((await exchange.body()).length).toBe(total);
  });

  it('is let go when the client leaves, before it has come and while it is waited for', async () => {
    let release = (): void => {};
    const { client, seen, server, rig } = await setUp(pair, { bytes: 10, decides: (x) => {
      const { token } = x;
      release = () => x.answer(token, refusal);
      return WAIT;
    } });
    const early = client.send({ method: 'POST' });
    early.head.catch(() => {});
    early.request.on('error', () => {});
    early.request.write('abc');
    await vi.waitFor(async () => expect(await heldBytes(rig)).toBeGreaterThan(0));
    early.cancel();
    await vi.waitFor(async () => expect(await heldBytes(rig)).toBe(0));
    const late = client.send({ method: 'POST', body: 'abcdefghij' });
    late.head.catch(() => {});
    late.request.on('error', () => {});
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    late.cancel();
    client.close();
    // While HTTP/1.1 is not read nobody sees that a client has left: whoever is asked has a deadline.
    if (down === 'http1') release();
    await rig.untilNothingIsLeft();
    expect([await heldBytes(rig), server.requests]).toEqual([0, 0]);
  });

  it('can be sent again by retries', async () => {
    const { client, seen, nothingIsLeft } = await setUp(pair, { bytes: 100_000 }, async (request, response, nth) => {
      const body = await readBody(request);
      response.statusCode = nth === 1 ? 503 : 200;
      (response as import('node:http').ServerResponse).end(body);
    }, { retries: { retries: 1, retryOn: [503], backoff: { base: '1ms' } } });
    for (const size of [30_000, 150_000]) {
      const bytes = randomBytes(size);
      const answer = await client.fetch({ method: 'PUT', body: bytes });
      expect(answer.body.equals(bytes)).toBe(true);
      expect(answer.status).toBe(200);
    }
    expect(seen).toHaveLength(2);
    await nothingIsLeft();
  });

  it('is not wanted to its end where the upstream answers before', async () => {
    const { client, nothingIsLeft } = await setUp(pair, { bytes: 10 }, (_request, response) => {
      response.statusCode = 403;
      response.end();
    });
    for (let i = 0; i < 3; i += 1) {
      const exchange = client.send({ method: 'POST' });
      exchange.request.on('error', () => {});
      exchange.request.write(Buffer.alloc(200_000));
      expect((await exchange.head).status).toBe(403);
      exchange.cancel();
    }
    await nothingIsLeft();
  });

  it('is asked for with 100, once', async () => {
    const { client, seen } = await setUp(pair, { bytes: 1_000 });
    const exchange = client.send({ method: 'POST', headers: { expect: '100-continue' } });
    if (down === 'http1') (exchange.request as import('node:http').ClientRequest).flushHeaders();
    await vi.waitFor(() => expect(exchange.infos.map(({ status }) => status)).toEqual([100]));
    expect(seen).toEqual([]);
    exchange.request.end('hello');
    expect((await exchange.body()).toString()).toBe('hello');
    expect(exchange.infos).toHaveLength(1);
  });
});

describe('over HTTP/1.1, byte for byte', () => {
  const pair = ['http1', 'http1'] as const;

  it('one-byte chunks are put together', async () => {
    const { rig, seen } = await setUp(pair, { bytes: 5_000 });
    const end = await WireEnd.connect(rig.port);
    closers.push(() => end.close());
    end.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(6_000)}0\r\nX-T: 1\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n`);
    const message = await end.message('response', 1);
    expect(Buffer.concat(message?.body ?? []).toString()).toBe('a'.repeat(6_000));
    await end.message('response', 2);
    expect(seen[0]?.length).toBeGreaterThanOrEqual(5_000);
    expect(seen[1]).toMatchObject({ length: 0, complete: true });
  });

  it('a client that sends it byte after byte takes little memory', async () => {
    const { rig, seen } = await setUp(pair, { bytes: 10 });
    const end = await WireEnd.connect(rig.port);
    closers.push(() => end.close());
    end.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nx');
    await vi.waitFor(async () => expect(await heldBytes(rig)).toBeGreaterThan(0));
    expect(await heldBytes(rig)).toBeLessThanOrEqual(1_024);
    end.send('yyyyyyyyy');
    await vi.waitFor(() => expect(seen).toMatchObject([{ length: 10, text: 'xyyyyyyyyy', complete: false }]));
  });

  it('one that breaks off is nothing that is answered', async () => {
    const { rig, server, seen, nothingIsLeft } = await setUp(pair, { bytes: 10 });
    const end = await WireEnd.connect(rig.port);
    end.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
    end.end();
    await nothingIsLeft();
    expect([server.requests, seen.length]).toEqual([0, 0]);
  });

  it('one that is framed wrongly is refused', async () => {
    const { rig, server } = await setUp(pair, { bytes: 10 });
    const end = await WireEnd.connect(rig.port);
    closers.push(() => end.close());
    end.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n');
    expect((await end.message('response', 1))?.head.status).toBe(400);
    expect(server.requests).toBe(0);
  });

  it('one that does not come is given up, with the field of requestLimits that says when', async () => {
    const { rig, server, seen } = await setUp(pair, { bytes: 10 }, echo, { limits: { bodyTimeout: '60ms' } });
    const end = await WireEnd.connect(rig.port);
    closers.push(() => end.close());
    end.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
    expect((await end.message('response', 1))?.head.status).toBe(408);
    await vi.waitFor(() => expect(rig.refusals).toMatchObject([{ reason: 'request-timeout', pointer: '/bodyTimeout' }]));
    expect([server.requests, seen.length, await heldBytes(rig)]).toEqual([0, 0, 0]);
  });

  it('a switch of protocols has none', async () => {
    const { rig, seen } = await setUp(pair, { bytes: 10 });
    const end = await WireEnd.connect(rig.port);
    closers.push(() => end.close());
    end.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly');
    await end.message('response', 1);
    expect(seen).toEqual([{ length: 0, complete: true, text: '', trailers: '' }]);
  });
});

it('memory for all of them is bounded: what does not fit is refused, and what was there goes on', async () => {
  const { rig, client, server } = await setUp(['http2', 'http1'], { bytes: 16 * 1_024 * 1_024 }, echo, { limits: { bodyBytes: '1GiB' } });
  const clients = Array.from({ length: 6 }, () => new ExchangeClient('http1', rig.port));
  closers.push(...clients.map((one) => () => one.close()));
  const exchanges = clients.map((one) => {
    const exchange = one.send({ method: 'POST' });
    exchange.request.on('error', () => {});
    exchange.request.write(Buffer.alloc(15 * 1_024 * 1_024));
    return exchange;
  });
  const statuses: number[] = [];
  for (const { head } of exchanges) head.then(({ status }) => statuses.push(status), () => statuses.push(0));
  await vi.waitFor(() => expect(statuses.length).toBeGreaterThanOrEqual(2), { timeout: 30_000 });
  expect(new Set(statuses.slice(0, 2))).toEqual(new Set([503]));
  expect(rig.plane.readPolicyEvents().get('bodies_hold-refused')).toBeGreaterThan(0);
  expect(server.requests).toBe(0);
  expect((await client.fetch({ method: 'GET' })).status).toBe(200);
}, 30_000);

it('a filter that asks for the body and has no use for it has failed', async () => {
  const kind: RuntimeKind<unknown> = { name: 'hmac', format: 1, side: 'provider', reasons: [], decode: () => ({}), edge: () => ({ kind: 'hmac', request: () => HOLD }) };
  const rig = await GatewayRig.start({ upstreams: [], kinds: new Map([...runtimeKinds, ['hmac', kind]]), sections: [section('hmac')] });
  closers.push(() => rig.close());
  const client = new ExchangeClient('http1', rig.port);
  closers.push(() => client.close());
  expect((await client.fetch()).status).toBe(500);
  await vi.waitFor(() => expect(rig.refusals).toMatchObject([{ reason: 'filter-failed', kind: 'hmac' }]));
});
