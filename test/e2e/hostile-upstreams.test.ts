import { freePort } from '@remora/testing/free-port';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BlackHole } from '../processes/black-hole.ts';
import { RawClient } from '../processes/raw-client.ts';
import { okAnswer, onHead, RawUpstream, type Behaviour } from '../processes/raw-upstream.ts';
import { ask as askKept, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { cleanRequest, descriptorsOf, ordersAt, residentOf, startEdge, threadsOf, untilQuiet, type Edge } from './edge.ts';
import { Fixture } from './fixture.ts';

/** On a connection of its own. */
const ask: typeof askKept = (options) => askKept({ ...options, headers: { ...options.headers, connection: 'close' } });

/** faults.md 8 and security.md 1.7 to 1.9, for HTTP/1.1, through a real gateway process: whatever an upstream does, clients get one clear answer. */
describe('hostile upstreams', () => {
  const fixture = new Fixture();
  const clients: RawClient[] = [];
  let upstream: RawUpstream;
  let edge: Edge;
  let idleDescriptors = 0;
  let idleMiB = 0;
  const good: Behaviour = onHead((socket) => socket.write(okAnswer));

  beforeAll(async () => {
    upstream = await RawUpstream.start(good);
    edge = await startEdge(fixture, {
      upstreams: [upstream.port],
      documents: '{kind: Policy, name: limits, target: {gateway: edge}, timeout: {connect: 1s, request: 3s, idle: 3s}}',
    });
    for (let i = 0; i < 100; i++) await cleanRequest(edge.port);
    idleDescriptors = descriptorsOf(edge.gateway);
    idleMiB = residentOf(edge.gateway);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await begin(good);
    await untilQuiet(edge.gateway);
    // The last connection may still be one that behaves as before.
    await cleanRequest(edge.port);
    expect(edge.gateway.process.exitCode).toBeNull();
  });

  afterAll(async () => {
    await fixture.end();
    await upstream.close();
  });

  /** From now on connections behave so; those that exist go. */
  async function begin(behave: Behaviour): Promise<void> {
    upstream.behave = behave;
    upstream.drop();
    await until('old connections are forgotten', () => threadsOf(edge.gateway), (threads) => threads.every(({ pools }) => pools.every(({ idle }) => idle === 0)));
    upstream.received = '';
    upstream.accepted = 0;
  }

  const answering = (text: string): Behaviour => onHead((socket) => socket.write(Buffer.from(text, 'latin1')));

  async function open(): Promise<RawClient> {
    const client = await RawClient.open(edge.port);
    clients.push(client);
    return client;
  }

  function expectRefusal(answer: Answer, status: number, reason: string): void {
    expect([answer.status, answer.headers['x-remora-reason'], answer.error]).toEqual([status, reason, '']);
    expect(answer.body).not.toMatch(/127\.0\.0\.1|orders|ECONN/);
  }

  /** What the gateway says of the refusal of a request to this path; its data threads tell it a little later. */
  async function refusalOf(path: string): Promise<Readonly<Record<string, unknown>>> {
    const newest = async (): Promise<Readonly<Record<string, unknown>>> => {
      const { refusals } = await (await fetch(`http://127.0.0.1:${edge.gateway.ports['admin']}/refusals`)).json() as { readonly refusals: readonly Readonly<Record<string, unknown>>[] };
      return refusals[0] ?? {};
    };
    return until(`the refusal of ${path} is told`, newest, (refusal) => refusal['path'] === path);
  }

  /** Attempts beyond the first so far. */
  async function retries(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${edge.gateway.ports['admin']}/metrics`)).text();
    return [...text.matchAll(/^remora_retries_total\{[^}]*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  const broken: readonly { readonly name: string; readonly text: string }[] = [
    { name: 'a length and chunked', text: 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n' },
    { name: 'two lengths', text: 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd' },
    { name: 'a negative length', text: 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n' },
    { name: 'gzip, chunked', text: 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n' },
    { name: 'bare LF', text: 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok' },
    { name: 'a fold', text: 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok' },
    { name: 'a NUL in a value', text: 'HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok' },
    { name: 'a space before the colon', text: 'HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 2\r\n\r\nok' },
    { name: 'a status of two digits', text: 'HTTP/1.1 99 OK\r\ncontent-length: 2\r\n\r\nok' },
    { name: 'a status of four digits', text: 'HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok' },
    { name: 'HTTP/2', text: 'HTTP/2 200 OK\r\ncontent-length: 2\r\n\r\nok' },
    { name: 'something else altogether', text: 'SSH-2.0-OpenSSH_9.6\r\n' },
    { name: 'a switch nobody asked for', text: 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nanything' },
    { name: 'a flood of interim answers', text: 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(2_000) },
    { name: 'a head of 200 KiB', text: `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(200_000)}` },
    { name: 'ten thousand fields', text: `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}` },
  ];

  test.each(broken)('$name: 502, and the connection is not used again', async ({ text }) => {
    await begin(answering(text));
    expectRefusal(await ask({ port: edge.port, path: '/bad' }), 502, 'upstream-protocol-error');
    expect(upstream.heads).toBe(1);
    await until('the connection is closed', () => upstream.open, (count) => count === 0);
  });

  test('endless fields are cut off at the limit', async () => {
    let sent = 0;
    await begin(onHead((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const pump = (): void => {
        for (; !socket.destroyed && sent < 64 << 20; sent += 6) if (!socket.write('x: y\r\n')) return void socket.once('drain', pump);
      };
      pump();
    }));
    expectRefusal(await ask({ port: edge.port, path: '/endless' }), 502, 'upstream-protocol-error');
    await until('the connection is closed', () => upstream.open, (count) => count === 0);
  });

  test('a few interim answers are passed on, before the final one', async () => {
    await begin(answering(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n${okAnswer}`));
    const client = await open();
    client.write('GET /hints HTTP/1.1\r\nhost: a\r\n\r\n');
    await client.until('the answer', (answer) => answer.endsWith('ok'));
    expect(client.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 103', 'HTTP/1.1 103', 'HTTP/1.1 200']);
  });

  test.each([['closes', (socket: { destroy(): void; resetAndDestroy(): void; end(): void }) => socket.end()], ['resets', (socket: { resetAndDestroy(): void }) => socket.resetAndDestroy()]] as const)('%s before it answers: 502, tried once', async (_, finish) => {
    await begin(onHead((socket) => finish(socket)));
    expectRefusal(await ask({ port: edge.port, path: '/gone' }), 502, 'upstream-reset');
    expect(upstream.heads).toBe(1);
  });

  test('closes within the head: 502', async () => {
    await begin(onHead((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')));
    expectRefusal(await ask({ port: edge.port, path: '/part' }), 502, 'upstream-reset');
  });

  test.each([
    ['a length', 'content-length: 100\r\n\r\npart', 'end'], ['a length', 'content-length: 100\r\n\r\npart', 'reset'],
    ['chunks', 'transfer-encoding: chunked\r\n\r\n4\r\npart\r\n', 'end'], ['chunks', 'transfer-encoding: chunked\r\n\r\n4\r\npart\r\n', 'reset'],
    ['a bad chunk', 'transfer-encoding: chunked\r\n\r\n4\r\npart\r\nxx\r\n', ''],
  ] as const)('breaks off within a body of %s (%s): the client can tell', async (_, rest, how) => {
    await begin(onHead((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${rest}`, () => {
        if (how === 'end') socket.end();
        if (how === 'reset') setImmediate(() => socket.resetAndDestroy());
      });
    }));
    const answer = await ask({ port: edge.port, path: '/broken' });
    expect(answer.status).toBe(0);
    const client = await open();
    client.write('GET /broken HTTP/1.1\r\nhost: a\r\n\r\nGET /next HTTP/1.1\r\nhost: a\r\n\r\n');
    await client.untilClosed();
    expect(client.text).not.toMatch(/\r\n0\r\n\r\n/);
    expect(client.text.match(/HTTP\/1\.1 \d+/g)?.length ?? 0).toBeLessThanOrEqual(1);
    expect(upstream.received).not.toContain('/next');
  });

  test('a body that goes on until the connection closes is passed on whole', async () => {
    await begin(onHead((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end')));
    const answer = await ask({ port: edge.port, path: '/close' });
    expect([answer.status, answer.body]).toEqual([200, 'until the end']);
  });

  test('does not answer: 504 within the limit, with its reason', async () => {
    await begin(() => {});
    const answer = await ask({ port: edge.port, path: '/slow' });
    expectRefusal(answer, 504, 'upstream-timeout');
    expect(await refusalOf('/slow')).toMatchObject({ reason: 'upstream-timeout', pointer: '/request', detail: 'the limit of 3000 ms has passed' });
    expect(answer.elapsedMs).toBeGreaterThan(2_900);
    expect(upstream.heads).toBe(1);
    await until('the connection is closed', () => upstream.open, (count) => count === 0);
  });

  test('goes silent within a body: cut at the idle limit', async () => {
    await begin(answering('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart'));
    const answer = await ask({ port: edge.port, path: '/silent' });
    expect(answer.status).toBe(0);
    expect(await refusalOf('/silent')).toMatchObject({ reason: 'stream-idle', pointer: '/idle', detail: 'the limit of 3000 ms has passed' });
    expect(answer.elapsedMs).toBeGreaterThan(2_900);
  });

  test('bytes that nobody asked for, on an idle connection or behind an answer, never become an answer', async () => {
    const evil = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil';
    await begin(onHead((socket) => {
      socket.write(okAnswer);
      setImmediate(() => socket.write(evil));
    }));
    for (let i = 0; i < 30; i++) expect((await ask({ port: edge.port, path: '/idle' })).body).toBe('ok');
    await begin(answering(okAnswer + evil));
    for (let i = 0; i < 30; i++) expect((await ask({ port: edge.port, path: '/behind' })).body).toBe('ok');
    await begin(answering('HTTP/1.1 204 No Content\r\n\r\nevil'));
    for (let i = 0; i < 10; i++) expect((await ask({ port: edge.port, path: '/empty' })).status).toBe(204);
    await begin(answering(`HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`));
    for (let i = 0; i < 10; i++) expect([(await ask({ port: edge.port, path: '/head', method: 'HEAD' })).body]).toEqual(['']);
  });

  test('answers before the request body ended: the client gets the answer, both connections close', async () => {
    await begin((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig'));
    });
    const client = await open();
    client.write('POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nabc');
    await client.until('the answer', (answer) => answer.endsWith('big'));
    expect(client.status).toBe(413);
    expect(client.text).toMatch(/connection: close/i);
    client.write(`${'x'.repeat(99_997)}GET /next HTTP/1.1\r\nhost: a\r\n\r\n`);
    await client.untilClosed();
    expect(client.text).not.toContain('HTTP/1.1 2');
    expect(upstream.received).not.toContain('/next');
    await until('the connection is closed', () => upstream.open, (count) => count === 0);
  });

  test('a kept connection that closes just when it is used: retried where nothing can be done twice', async () => {
    let served = 0;
    // Each connection answers once; the next request on it meets a FIN.
    await begin((socket) => {
      let nth = 0;
      onHead(() => {
        if (nth++ > 0) return void socket.end();
        served++;
        socket.write(okAnswer);
      })(socket, 0);
    });
    for (let i = 0; i < 10; i++) expect((await ask({ port: edge.port, path: '/kept' })).status).toBe(200);
    expect(served).toBe(10);
    const posts: number[] = [];
    for (let i = 0; i < 10; i++) posts.push((await ask({ port: edge.port, path: '/post', method: 'POST' })).status);
    expect(posts.every((status) => status === 200 || status === 502)).toBe(true);
    // What may have been seen by the upstream is not sent again.
    expect(upstream.received.match(/POST \/post/g)?.length).toBe(10);
  });

  test('refuses connections: 503; with another instance the request goes there', async () => {
    const closed = await freePort();
    await edge.apply(ordersAt([closed]));
    expectRefusal(await ask({ port: edge.port, path: '/refused' }), 503, 'connect-failure');
    await edge.apply(ordersAt([closed, upstream.port]));
    const posted: number[] = [];
    for (let i = 0; i < 30; i++) posted.push((await ask({ port: edge.port, path: '/other', method: i % 2 === 0 ? 'GET' : 'POST' })).status);
    expect(posted).toEqual(Array.from({ length: 30 }, () => 200));
    await edge.apply(ordersAt([upstream.port]));
  });

  test('swallows connections: 503 after the connect limit; with another instance the request goes there', async () => {
    const hole = await BlackHole.start();
    try {
      await edge.apply(ordersAt([hole.port]));
      const answer = await ask({ port: edge.port, path: '/hole' });
      expectRefusal(answer, answer.status, answer.status === 504 ? 'upstream-timeout' : 'connect-timeout');
      expect(answer.elapsedMs).toBeGreaterThan(950);
      // What is left of 3 s behind the first attempt ends the second one.
      expect(Number(/(\d+) ms/.exec(String((await refusalOf('/hole'))['detail']))?.[1] ?? Infinity)).toBeLessThanOrEqual(3_000);
      await edge.apply(ordersAt([hole.port, upstream.port]));
      const retried = await retries();
      const began = performance.now();
      const answers: Answer[] = [];
      for (let i = 0; i < 40; i++) answers.push(await ask({ port: edge.port, path: '/other' }));
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 40 }, () => 200));
      // After the first time others are preferred, and it is tried again after 0.5 s, 1 s, 2 s …: by chance it would be every second request.
      expect(await retries() - retried).toBeLessThanOrEqual(2 + Math.ceil(Math.log2(1 + (performance.now() - began) / 250)));
    } finally {
      await edge.apply(ordersAt([upstream.port]));
      await hole.close();
    }
  });

  test('in the end sockets and memory are where they were', async () => {
    await untilQuiet(edge.gateway);
    const [thread] = await threadsOf(edge.gateway);
    const pooled = thread?.pools.reduce((sum, { open: count }) => sum + count, 0) ?? 0;
    expect(pooled).toBe(upstream.open);
    await until('descriptors are given back', () => descriptorsOf(edge.gateway) - pooled, (count) => count <= idleDescriptors + 2);
    const grownMiB = residentOf(edge.gateway) - idleMiB;
    process.stdout.write(`resident memory after all of it: ${grownMiB.toFixed(1)} MiB more than before\n`);
    expect(grownMiB).toBeLessThan(48);
  });
});
