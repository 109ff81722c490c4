import { seededRandom } from '@remora/core/random';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { cut, RawClient } from '../processes/raw-client.ts';
import { RecordingApp } from '../processes/recording-app.ts';
import { until } from '../processes/until.ts';
import { cleanRequest, descriptorsOf, residentOf, startEdge, threadsOf, untilQuiet, type Edge } from './edge.ts';
import { Fixture } from './fixture.ts';
import { hostileRequests, unusualRequests } from './hostile-requests.ts';

/** security.md 1 and faults.md 9, for HTTP/1.1, through a real gateway process: whatever a client does, it hurts itself only. */
describe('hostile clients', () => {
  const fixture = new Fixture();
  let app: RecordingApp;
  let edge: Edge;
  let idleDescriptors = 0;
  let idleMiB = 0;

  beforeAll(async () => {
    app = await RecordingApp.start();
    edge = await startEdge(fixture, { upstreams: [app.port] });
    // A gateway that has seen some load: from here on memory and descriptors must not grow.
    for (let i = 0; i < 200; i++) await cleanRequest(edge.port);
    idleDescriptors = descriptorsOf(edge.gateway);
    idleMiB = residentOf(edge.gateway);
  });

  afterAll(async () => {
    await fixture.end();
    await app.close();
  });

  const clientsOpen: RawClient[] = [];
  afterEach(() => {
    for (const client of clientsOpen.splice(0)) client.destroy();
    app.handle = null;
  });
  const open = async (): Promise<RawClient> => {
    const client = await RawClient.open(edge.port);
    clientsOpen.push(client);
    return client;
  };
  const limits = (fields: string): Promise<void> => edge.apply(`{kind: Policy, name: limits, target: {gateway: edge}, requestLimits: {${fields}}}`);

  /** Refused, closed, and neither it nor what follows has reached the app. */
  async function expectRefused(bytes: Uint8Array, pieces: readonly Uint8Array[], status: number): Promise<void> {
    const before = app.complete.length;
    const client = await open();
    await client.writePieces([...pieces, Buffer.from('GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n')]);
    await client.untilClosed();
    expect([client.status, client.text.match(/^HTTP\/1\.1 /gm)?.length], client.text.slice(0, 400)).toEqual([status, 1]);
    expect(client.text).toMatch(/connection: close/i);
    client.destroy();
    expect(app.complete.slice(before).map(({ method, url }) => `${method} ${url}`)).toEqual([]);
    expect(app.unreadable).toEqual([]);
    expect(bytes.length).toBeGreaterThan(0);
  }

  test.each(hostileRequests)('$name: $status', async ({ bytes: text, status }) => {
    const bytes = Buffer.from(text, 'latin1');
    const random = seededRandom(text.length);
    const places = (count: number): number[] => Array.from({ length: count }, () => 1 + Math.floor(random.next() * (bytes.length - 1)));
    await expectRefused(bytes, [bytes], status);
    await expectRefused(bytes, cut(bytes, places(1)), status);
    await expectRefused(bytes, cut(bytes, places(4)), status);
    if (bytes.length < 300) await expectRefused(bytes, cut(bytes, [...bytes.keys()]), status);
    await cleanRequest(edge.port);
    expect(app.begun).not.toContain('GET /smuggled');
  });

  test.each(unusualRequests)('passes: $name', async ({ bytes: text, seen, bodyBytes = 0 }) => {
    const bytes = Buffer.from(text, 'latin1');
    for (const pieces of [[bytes], bytes.length < 300 ? cut(bytes, [...bytes.keys()]) : cut(bytes, [1, 700, 40_000])]) {
      const client = await open();
      await client.writePieces(pieces);
      await client.until('the answer', ({ text: got }) => got.includes('ok '));
      expect(client.status).toBe(200);
      client.destroy();
      const last = app.complete.at(-1);
      expect([`${last?.method} ${last?.url}`, last?.bodyBytes]).toEqual([seen, bodyBytes]);
    }
  });

  test('10,000 pipelined requests are answered one by one, in order', async () => {
    const count = 10_000;
    const client = await open();
    const sent = Array.from({ length: count }, (_, i) => `GET /nth/${i} HTTP/1.1\r\nhost: a\r\n\r\n`).join('');
    client.write(sent);
    await client.until('all answers', (answers) => answers.endsWith(`/${count - 1}`), 60_000);
    const answered = [...client.text.matchAll(/ok \/nth\/(\d+)/g)].map(([, nth]) => Number(nth));
    expect(answered).toEqual(Array.from({ length: count }, (_, i) => i));
    client.destroy();
    await untilQuiet(edge.gateway);
  });

  test('a body in one-byte chunks costs its due, and is refused where framing outweighs it', async () => {
    const client = await open();
    client.write('POST /drops HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
    client.write(`${'1\r\nx\r\n'.repeat(50_000)}0\r\n\r\n`);
    await client.until('the answer', ({ text }) => text.includes('ok /drops'), 30_000);
    expect(app.complete.at(-1)?.bodyBytes).toBe(50_000);
    client.destroy();
    const padded = await open();
    padded.write(`POST /padded HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${'00000001;a=bcdefgh\r\nx\r\n'.repeat(20_000)}`);
    await padded.untilClosed();
    expect(padded.status).toBe(400);
    padded.destroy();
    await untilQuiet(edge.gateway);
    await cleanRequest(edge.port);
  });

  test('endless fields are cut at the limit', async () => {
    const client = await open();
    client.write('GET /evil HTTP/1.1\r\nhost: a\r\n');
    for (let i = 0; i < 4_000 && client.ended === null; i++) await client.writePieces([Buffer.from(`x${i}: ${'y'.repeat(500)}\r\n`)]);
    await client.untilClosed();
    expect(client.status).toBe(431);
    client.destroy();
    await cleanRequest(edge.port);
  });

  test('a chunked body beyond bodyBytes is answered 413, and the upstream does not get the rest', async () => {
    await limits('bodyBytes: 1KiB');
    const before = app.complete.length;
    const client = await open();
    client.write('POST /large HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
    for (let i = 0; i < 64 && client.ended === null; i++) await client.writePieces([Buffer.from(`100\r\n${'x'.repeat(256)}\r\n`)]);
    await client.untilClosed();
    expect(client.status).toBe(413);
    expect(client.text).toContain('body-too-large');
    client.destroy();
    const declared = await open();
    declared.write(`POST /large HTTP/1.1\r\nhost: a\r\ncontent-length: 1025\r\n\r\n${'x'.repeat(1025)}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n`);
    await declared.untilClosed();
    expect(declared.status).toBe(413);
    declared.destroy();
    const fits = await open();
    fits.write(`POST /fits HTTP/1.1\r\nhost: a\r\ncontent-length: 1024\r\n\r\n${'x'.repeat(1024)}`);
    await fits.until('the answer', ({ text }) => text.includes('ok /fits'));
    fits.destroy();
    await untilQuiet(edge.gateway);
    expect(app.complete.slice(before).map(({ url }) => url)).toEqual(['/fits']);
    await limits('bodyBytes: unlimited');
  });

  test('slow heads and slow bodies get 408; those that only wait do not', async () => {
    await limits('headerTimeout: 600ms, bodyTimeout: 600ms, idleTimeout: 20s');
    const head = await open();
    const body = await open();
    const idle = await open();
    const drip = setInterval(() => head.write('x'), 100);
    head.write('GET /slow HTTP/1.1\r\nhost: a\r\nx: ');
    body.write('POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc');
    idle.write('GET /idle HTTP/1.1\r\nhost: a\r\n\r\n');
    await Promise.all([head.untilClosed(), body.untilClosed()]);
    clearInterval(drip);
    expect([head.status, body.status]).toEqual([408, 408]);
    expect(idle.ended).toBeNull();
    idle.write('GET /again HTTP/1.1\r\nhost: a\r\n\r\n');
    await idle.until('the second answer', ({ text }) => text.includes('ok /again'));
    for (const client of [head, body, idle]) client.destroy();
    await untilQuiet(edge.gateway);
    await limits('bodyBytes: unlimited');
  });

  test('a slow reader holds back its upstream, costs bounded memory, and is cut when it stays away', async () => {
    await limits('idleTimeout: 1s');
    const block = Buffer.alloc(64 * 1024, 'z');
    let sent = 0;
    let cutAt = 0;
    app.handle = (_, response) => {
      const pump = (): void => {
        while (sent < 256 * 1024 * 1024) {
          sent += block.length;
          if (!response.write(block)) return;
        }
        response.end();
      };
      response.on('drain', pump);
      response.once('close', () => { cutAt = sent; });
      pump();
    };
    const before = residentOf(edge.gateway);
    const clients = await Promise.all(Array.from({ length: 4 }, open));
    for (const client of clients) {
      client.socket.pause();
      client.write('GET /endless HTTP/1.1\r\nhost: a\r\n\r\n');
    }
    await until('the upstream is cut off', () => cutAt, (at) => at > 0, 20_000);
    // What kernels hold between three programs; the gateway itself at most a few reads each.
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    expect(residentOf(edge.gateway) - before).toBeLessThan(16);
    for (const client of clients) client.destroy();
    app.handle = null;
    await untilQuiet(edge.gateway);
    await limits('bodyBytes: unlimited');
    await cleanRequest(edge.port);
  });

  test('half-closed clients get their answer; half requests reach nobody', async () => {
    const whole = await open();
    whole.socket.end('GET /half HTTP/1.1\r\nhost: a\r\n\r\n');
    await whole.untilClosed();
    expect(whole.text).toContain('ok /half');
    const posted = await open();
    posted.socket.end('POST /half-post HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc');
    await posted.untilClosed();
    expect(posted.text).toContain('ok /half-post');
    const before = app.complete.length;
    for (const part of ['GET /cut HTTP/1.1\r\nhost', 'POST /cut HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc', 'POST /cut HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n']) {
      const client = await open();
      client.socket.end(part);
      await client.untilClosed();
      expect(client.status).toBe(0);
      client.destroy();
    }
    await untilQuiet(edge.gateway);
    expect(app.complete.length).toBe(before);
  });

  test('a client that goes in the middle of a body or an answer frees everything', async () => {
    const aborted = app.aborted;
    let answersCut = 0;
    app.handle = (_, response) => {
      // Whoever has sent a whole request may have closed one half only: that it is gone shows when something is sent to it.
      const drip = setInterval(() => response.write('begun'), 50);
      response.once('close', () => {
        clearInterval(drip);
        answersCut += Number(!response.writableFinished);
      });
    };
    const clients = await Promise.all(Array.from({ length: 40 }, open));
    clients.forEach((client, i) => client.write(i % 2 === 0
      ? 'POST /gone HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nabc'
      : 'GET /gone HTTP/1.1\r\nhost: a\r\n\r\n'));
    await Promise.all(clients.filter((_, i) => i % 2 === 1).map((client) => client.until('the answer begins', ({ text }) => text.includes('begun'))));
    await until('the uploads have begun', () => app.begun.filter((seen) => seen === 'POST /gone').length, (count) => count === 20);
    clients.forEach((client, i) => (i % 4 < 2 ? client.socket.resetAndDestroy() : client.destroy()));
    await untilQuiet(edge.gateway);
    await until('the app knows', () => [app.aborted - aborted, answersCut], ([bodies, answers]) => bodies === 20 && answers === 20);
    app.handle = null;
    await cleanRequest(edge.port);
  });

  test('2,000 idle connections cost what is stated, and others are served meanwhile', async () => {
    await untilQuiet(edge.gateway);
    const before = residentOf(edge.gateway);
    const clients: RawClient[] = [];
    for (let i = 0; i < 2_000; i += 100) clients.push(...await Promise.all(Array.from({ length: 100 }, open)));
    for (const client of clients) client.write('GET /idle HTTP/1.1\r\nhost: a\r\n\r\n');
    await Promise.all(clients.map((client) => client.until('its answer', (answer) => answer.endsWith('ok /idle'), 30_000)));
    const [thread] = await threadsOf(edge.gateway);
    expect(thread?.connections).toBe(2_000);
    const kibEach = (residentOf(edge.gateway) - before) * 1024 / clients.length;
    process.stdout.write(`idle keep-alive connections: ${kibEach.toFixed(1)} KiB of resident memory each\n`);
    expect(kibEach).toBeLessThan(idleConnectionKiB);
    await cleanRequest(edge.port);
    for (const client of clients) client.destroy();
    await untilQuiet(edge.gateway);
  });

  test('a client that is slow with its last answer gets all of it', async () => {
    const size = (nth: number): number => (2_000 + nth * 48) * 1024;
    app.handle = ({ url }, response) => response.end(Buffer.alloc(Number(url?.slice(1)), 'z'));
    // Some of these sizes leave just the last read of the gateway with it, when the kernels are full.
    const clients = await Promise.all(Array.from({ length: 48 }, open));
    clients.forEach((client, nth) => {
      client.socket.pause();
      client.write(`GET /${size(nth)} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
    });
    await new Promise((resolve) => { setTimeout(resolve, 2_500); });
    for (const client of clients) client.socket.resume();
    await Promise.all(clients.map((client) => client.untilClosed(20_000)));
    const short = clients.map(({ bytesReceived }, nth) => size(nth) - bytesReceived).filter((missing) => missing > 0);
    expect(short).toEqual([]);
  });

  test('in the end sockets, timers and memory are where they were', async () => {
    await untilQuiet(edge.gateway);
    await cleanRequest(edge.port);
    const [thread] = await threadsOf(edge.gateway);
    const pooled = thread?.pools.reduce((sum, { open: count }) => sum + count, 0) ?? 0;
    await until('descriptors are given back', () => descriptorsOf(edge.gateway) - pooled, (count) => count <= idleDescriptors + 4);
    const grownMiB = residentOf(edge.gateway) - idleMiB;
    process.stdout.write(`resident memory after all of it: ${grownMiB.toFixed(1)} MiB more than before\n`);
    // Garbage that is not collected yet is part of it; what counts is that the same again adds nothing.
    expect(grownMiB).toBeLessThan(112);
    for (let round = 0; round < 2; round++) {
      const clients = await Promise.all(Array.from({ length: 1_000 }, open));
      for (const client of clients) client.write('GET /round HTTP/1.1\r\nhost: a\r\n\r\n');
      await Promise.all(clients.map((client) => client.until('its answer', (answer) => answer.endsWith('ok /round'), 30_000)));
      for (const client of clients) client.destroy();
      await untilQuiet(edge.gateway);
    }
    expect(residentOf(edge.gateway) - idleMiB - grownMiB).toBeLessThan(24);
    expect(edge.gateway.process.exitCode).toBeNull();
  });
});

/** Most that a keep-alive connection between two requests may cost, its part of upstream pools included. */
const idleConnectionKiB = 24;
