import { createHash, randomBytes } from 'node:crypto';
import type http2 from 'node:http2';
import type { Http2ServerResponse } from 'node:http2';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ExchangeClient, type TestProtocol } from '../testdata/exchange-client.ts';
import { ExchangeServer, readBody, type Handle, type ServerResponse } from '../testdata/exchange-server.ts';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';

/** Whatever the two sides speak, an exchange behaves the same: one table over every combination. */
const combinations: readonly (readonly [down: TestProtocol, up: TestProtocol])[] = [
  ['http1', 'http1'], ['http1', 'http2'], ['http2', 'http1'], ['http2', 'http2'],
];

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe.each(combinations)('%s to %s', (down, up) => {
  async function setUp(handle: Handle, options: Partial<RigOptions> = {}, settings: http2.Settings = {}) {
    const server = await ExchangeServer.start(up, handle, settings);
    closers.push(() => server.close());
    const rig = await GatewayRig.start({ upstreams: [], endpoints: [server.endpoint], ...options });
    closers.push(() => rig.close());
    const client = new ExchangeClient(down, rig.port);
    closers.push(() => client.close());
    return { server, rig, client };
  }

  it('passes method, target, fields and body on, and the answer back', async () => {
    const { client } = await setUp(async (request, response) => {
      const body = await readBody(request);
      response.setHeader('x-kind', 'echo');
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.statusCode = 201;
      response.end(JSON.stringify({ method: request.method, url: request.url, agent: request.headers['user-agent'], cookie: request.headers.cookie, body: body.toString() }));
    });
    const answer = await client.fetch({ method: 'PUT', path: '/a/b?c=%20d', headers: { 'user-agent': 'test', cookie: 'x=1; y=2' }, body: 'hello' });
    expect(answer.status).toBe(201);
    expect(answer.headers['x-kind']).toBe('echo');
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(JSON.parse(answer.text)).toEqual({ method: 'PUT', url: '/a/b?c=%20d', agent: 'test', cookie: 'x=1; y=2', body: 'hello' });
  });

  it('carries bodies of many megabytes both ways, byte for byte', async () => {
    const { client, rig } = await setUp((request, response) => void request.pipe(response as never));
    const bytes = randomBytes(5_000_000);
    for (const headers of [{}, { 'content-length': String(bytes.length) }]) {
      const answer = await client.fetch({ method: 'POST', headers, body: bytes });
      expect(sha(answer.body)).toBe(sha(bytes));
    }
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('holds a fast upstream back for a slow client, with bounded memory', async () => {
    let sent = 0;
    const total = 64 * 1024 * 1024;
    const piece = randomBytes(64 * 1024);
    const { client } = await setUp((_request, response) => {
      const writable = response as Http2ServerResponse;
      const go = (): void => {
        while (sent < total) {
          sent += piece.length;
          if (!writable.write(piece)) {
            writable.once('drain', go);
            return;
          }
        }
        writable.end();
      };
      go();
    });
    const exchange = client.send({ body: null });
    await exchange.head;
    await vi.waitUntil(settled(() => sent), { timeout: 5000, interval: 150 });
    expect(sent).toBeLessThan(24 * 1024 * 1024);
    expect((await exchange.body()).length).toBe(total);
  });

  it('holds a fast client back for a slow upstream, with bounded memory', async () => {
    const total = 64 * 1024 * 1024;
    const begin = Promise.withResolvers<void>();
    const { client } = await setUp(async (request, response) => {
      await begin.promise;
      const body = await readBody(request);
      response.end(String(body.length));
    });
    const exchange = client.send({ method: 'POST' });
    let sent = 0;
    const piece = randomBytes(64 * 1024);
    const go = (): void => {
      while (sent < total) {
        sent += piece.length;
        if (!exchange.request.write(piece)) {
          exchange.request.once('drain', go);
          return;
        }
      }
      exchange.request.end();
    };
    go();
    await vi.waitUntil(settled(() => sent), { timeout: 5000, interval: 150 });
    expect(sent).toBeLessThan(24 * 1024 * 1024);
    begin.resolve();
    expect((await exchange.body()).toString()).toBe(String(total));
  });

  it('carries trailers both ways', async () => {
    const { client } = await setUp(async (request, response) => {
      await readBody(request);
      response.setHeader('trailer', 'x-sum');
      (response as Http2ServerResponse).write('body');
      response.addTrailers({ 'x-sum': String(request.trailers['x-check']) });
      response.end();
    });
    const answer = await client.fetch({ method: 'POST', body: 'data', trailers: { 'x-check': '42' } });
    expect(answer.text).toBe('body');
    expect(answer.trailers['x-sum']).toBe('42');
  });

  it.each([['HEAD', 200], ['GET', 204], ['GET', 304]])('%s answered with %i has no body, and the connection goes on', async (method, status) => {
    const { client, server } = await setUp((_request, response) => {
      response.statusCode = status;
      if (status !== 204) response.setHeader('content-length', '5');
      if (method === 'HEAD') (response as Http2ServerResponse).end('hello');
      else response.end();
    });
    for (let i = 0; i < 3; i++) {
      const answer = await client.fetch({ method });
      expect([answer.status, answer.text]).toEqual([status, '']);
      if (status !== 204) expect(answer.headers['content-length']).toBe('5');
    }
    expect(server.connections).toBe(1);
  });

  it('an answer without a body says that it has none', async () => {
    const { client } = await setUp((_request, response) => {
      response.end();
    });
    const answer = await client.fetch({ method: 'POST', body: 'x' });
    expect([answer.status, answer.text]).toEqual([200, '']);
  });

  it('passes interim answers on before the final one', async () => {
    const { client } = await setUp((_request, response) => {
      (response as Http2ServerResponse).writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.end('done');
    });
    const exchange = client.send({ body: null });
    expect((await exchange.body()).toString()).toBe('done');
    expect(exchange.infos.map(({ status, headers }) => [status, headers['link']])).toEqual([[103, '</style.css>; rel=preload']]);
  });

  it('asks for a body that waits for 100 when somebody wants it', async () => {
    const { client } = await setUp(async (request, response) => {
      response.end((await readBody(request)).toString().toUpperCase());
    });
    const exchange = client.send({ method: 'POST', headers: { expect: '100-continue', 'content-length': '5' } });
    if (down === 'http1') await new Promise((resolve) => exchange.request.once('continue', resolve));
    exchange.request.end('hello');
    expect((await exchange.body()).toString()).toBe('HELLO');
  });

  it('an answer that comes before the request has ended is passed on whole', async () => {
    const { client, rig } = await setUp((_request, response) => {
      response.statusCode = 413;
      response.end('too large');
    });
    const exchange = client.send({ method: 'POST', headers: { 'content-length': '1000000' } });
    exchange.request.write('part');
    const { status } = await exchange.head;
    expect([status, (await exchange.body()).toString()]).toEqual([413, 'too large']);
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('a client that cancels ends the call of the instance too', async () => {
    const closed = Promise.withResolvers<boolean>();
    const { client, rig } = await setUp((_request, plain) => {
      const response = plain as Http2ServerResponse;
      // To an HTTP/1.1 listener a FIN is a half-close until a write fails: something has to be written.
      const timer = setInterval(() => response.write('more'), 10);
      response.once('close', () => {
        clearInterval(timer);
        closed.resolve(true);
      });
      response.write('first');
    });
    const exchange = client.send({ body: null });
    await exchange.head;
    exchange.body().catch(() => {});
    exchange.cancel();
    expect(await closed.promise).toBe(true);
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('a client that cancels its request body is not taken for one that ended it', async () => {
    const broken = Promise.withResolvers<string>();
    const { client, rig } = await setUp((request) => {
      readBody(request).then(() => broken.resolve('complete'), () => broken.resolve('broken off'));
    });
    const exchange = client.send({ method: 'POST' });
    exchange.head.catch(() => {});
    exchange.request.on('error', () => {});
    exchange.request.write('part');
    await vi.waitUntil(async () => (await rig.leftovers()).active === 1);
    await new Promise(setImmediate);
    exchange.cancel();
    expect(await broken.promise).toBe('broken off');
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('an answer that breaks off is not taken for complete', async () => {
    const { client, rig } = await setUp((_request, response) => {
      (response as Http2ServerResponse).write('half');
      setImmediate(() => breakOff(response));
    });
    const exchange = client.send({ body: null });
    await exchange.head;
    await expect(exchange.body()).rejects.toThrow(/abort|broken off|closed/i);
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('an instance that breaks off before its answer is a 502 with the reason', async () => {
    const { client } = await setUp((_request, response) => breakOff(response));
    const answer = await client.fetch({ method: 'POST', body: 'x' });
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([502, 'upstream-reset']);
  });

  it('a call that fails in a way that may be repeated is made again, with its body', async () => {
    const { client, server } = await setUp(async (request, response, nth) => {
      const body = await readBody(request);
      response.statusCode = nth < 3 ? 503 : 200;
      response.end(`${nth}:${body.toString()}`);
    }, { retries: { retries: 2, retryOn: [503] } });
    const answer = await client.fetch({ method: 'PUT', body: 'again' });
    expect([answer.status, answer.text, server.requests]).toEqual([200, '3:again', 3]);
  });

  it('an instance that does not answer in time is a 504, and is told that nobody waits', async () => {
    const aborted = Promise.withResolvers<void>();
    const { client, rig } = await setUp((_request, response) => {
      (response as Http2ServerResponse).once('close', () => aborted.resolve());
    }, { timeouts: { request: '600ms' } });
    const answer = await client.fetch();
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([504, 'upstream-timeout']);
    await aborted.promise;
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('an instance that cannot be connected is a 503 with the reason', async () => {
    const { client, server } = await setUp(() => {});
    server.close();
    const answer = await client.fetch();
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([503, 'connect-failure']);
  });

  it('a hundred exchanges at once keep apart', async () => {
    const { client, rig } = await setUp(async (request, response) => {
      const body = await readBody(request);
      setTimeout(() => response.end(`${request.url}=${body.toString()}`), Math.random() * 20);
    });
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => client.fetch({ method: 'POST', path: `/${i}`, body: 'x'.repeat(i * 50) })));
    for (const [i, { text }] of answers.entries()) expect(text).toBe(`/${i}=${'x'.repeat(i * 50)}`);
    client.close();
    await rig.untilNothingIsLeft();
  });
});

describe.each<TestProtocol>(['http1', 'http2'])('http2 to %s', (up) => {
  it.each([['longer', 3, 'and more'], ['shorter', 9, '']])('a request body %s than its content-length is not taken for complete (security.md 2.1)', async (_, length, rest) => {
    const ended = Promise.withResolvers<string>();
    const arrived = Promise.withResolvers<void>();
    const server = await ExchangeServer.start(up, (request) => {
      readBody(request).then((body) => ended.resolve(body.toString()), () => ended.resolve('broken off'));
      arrived.resolve();
    });
    closers.push(() => server.close());
    const rig = await GatewayRig.start({ upstreams: [], endpoints: [server.endpoint] });
    closers.push(() => rig.close());
    const client = new ExchangeClient('http2', rig.port);
    closers.push(() => client.close());
    const exchange = client.send({ method: 'POST', headers: { 'content-length': String(length) } });
    exchange.request.write('pa');
    await arrived.promise;
    exchange.request.end(rest);
    await expect(exchange.head).rejects.toThrow(/PROTOCOL_ERROR|closed/);
    expect(await ended.promise).toBe('broken off');
    client.close();
    await rig.untilNothingIsLeft();
  });
});

/** True once the value, which must have begun to grow, is the same in two looks. */
function settled(value: () => number): () => boolean {
  let before = -1;
  return () => {
    const same = value() > 0 && value() === before;
    before = value();
    return same;
  };
}

function breakOff(response: ServerResponse): void {
  if ('stream' in response) response.stream.close(2);
  else response.socket?.resetAndDestroy();
}

function sha(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
