import { once } from 'node:events';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

const service = (name: string): string => `kind: Service\nname: ${name}\nports: {http: {port: 8080, protocol: http}}\n`;

describe('over real sockets', () => {
  let api: ApiFixture;
  let port: number;
  beforeEach(async () => {
    api = await startApi();
    port = await api.server.listen({ host: '127.0.0.1', port: 0 });
  });
  afterEach(() => api.close());

  async function exchange(bytes: string | Uint8Array): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    socket.end(bytes);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    return text;
  }

  test('a client of HTTP/2 is told in HTTP/2 what is wrong', async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.on('error', () => {});
    const [code, , data] = (await once(session, 'goaway')) as [number, number, Buffer];
    expect([code, data.toString()]).toEqual([http2.constants.NGHTTP2_HTTP_1_1_REQUIRED, 'this port speaks HTTP/1.1 only; sidecars connect to the push port']);
    session.destroy();
    expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
  });

  test.each([
    ['nonsense', 'hello\r\n\r\n', '400'],
    ['a TLS client', Buffer.from('16030100c8010000c40303', 'hex'), '400'],
    ['headers beyond the bound', `GET /livez HTTP/1.1\r\nhost: localhost\r\n${'x-a: '.padEnd(20_000, 'a')}\r\n\r\n`, '431'],
    ['both framings', 'POST /v1/apply HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', '400'],
    ['no host', 'GET /livez HTTP/1.1\r\n\r\n', '400'],
  ])('%s: a problem document, and the connection ends', async (_name, bytes, status) => {
    const answer = await exchange(bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (answer.includes('problem+json')) expect(answer).toContain('"code":"bad-request"');
  });

  test('50 MB for a document: refused by its length, before any of it is read', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('PUT /v1/services/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/yaml\r\ncontent-length: 52428800\r\n\r\n');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toMatch(/^HTTP\/1.1 413 [\s\S]*"code":"body-too-large"/);
    socket.destroy();
  });

  test('50 MB without a length: cut off at the bound', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('PUT /v1/services/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/yaml\r\ntransfer-encoding: chunked\r\n\r\n');
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    const piece = `10000\r\n${'#'.repeat(65_536)}\r\n`;
    for (let n = 0; n < 800 && answer === '' && !socket.destroyed; n++) if (!socket.write(piece)) await Promise.race([once(socket, 'drain'), once(socket, 'data'), once(socket, 'close')]);
    await expect.poll(() => answer).toMatch(/^HTTP\/1.1 413 [\s\S]*"code":"body-too-large"/);
    socket.destroy();
  });

  test('50 MB of comments to apply are read and say that nothing was given', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/apply`, { method: 'POST', body: `# ${'x'.repeat(49)}\n`.repeat(1_000_000), headers: { 'content-type': 'application/yaml' } });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ violations: [{ code: 'too-large' }] });
  });

  test('a port in use is said by name', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const other = await startApi();
    await expect(other.server.listen({ host: '127.0.0.1', port: (taken.address() as AddressInfo).port })).rejects.toMatchObject({ kind: 'port', message: expect.stringContaining('EADDRINUSE') });
    await other.close();
    taken.close();
  });

  test.each(['0.0.0.0', '::', '192.0.2.1', 'example.org', '127.example.org'])('refuses to listen on %s while there is no identity', async (host) => {
    const other = await startApi();
    await expect(other.server.listen({ host, port: 0 })).rejects.toThrow('refusing to listen');
    await other.close();
  });

  test('stopping ends open connections and event streams', async () => {
    const stream = await openEvents(port);
    const idle = connect(port, '127.0.0.1');
    idle.on('error', () => {});
    await once(idle, 'connect');
    await Promise.all([api.server.close(), once(stream.socket, 'close')]);
    expect(stream.socket.destroyed).toBe(true);
    idle.destroy();
  });

  describe('events', () => {
    test('tell of revisions as they happen', async () => {
      const stream = await openEvents(port);
      await api.apply(service('orders'), '?message=hello');
      const event = await stream.next('revision');
      expect(event.data).toMatchObject({ version: { index: 1 }, author: 'anonymous', message: 'hello', kind: 'documents' });
      stream.socket.destroy();
      await expect.poll(() => api.controlPlane.events.listeners()).toBe(0);
    });

    test('go on after the last one seen; what is not known any more is a gap', async () => {
      const first = await openEvents(port);
      await api.apply(service('a'));
      const seen = await first.next('revision');
      first.socket.destroy();
      await api.apply(service('b'));
      await api.apply(service('c'));
      const second = await openEvents(port, `last-event-id: ${seen.id}\r\n`);
      expect((await second.next('revision')).data).toMatchObject({ version: { index: 2 } });
      expect((await second.next('revision')).data).toMatchObject({ version: { index: 3 } });
      second.socket.destroy();
      const stranger = await openEvents(port, 'last-event-id: otherrun-7\r\n');
      expect((await stranger.next('gap')).data).toMatchObject({ detail: expect.any(String) });
      stranger.socket.destroy();
    });

    test('only of the types asked for', async () => {
      const stream = await openEvents(port, '', '?type=sidecar-connected,sidecar-refused');
      await api.apply(service('a'));
      api.controlPlane.events.publish('sidecar-connected', { nodeId: 'n1' });
      expect((await stream.next()).event).toBe('sidecar-connected');
      stream.socket.destroy();
    });

    test('a listener that does not read is told that it missed some, and holds bounded memory', async () => {
      const stream = await openEvents(port);
      stream.socket.pause();
      for (let n = 0; n < 20_000; n++) {
        api.controlPlane.events.publish('filler', { n, text: 'x'.repeat(1_000) });
        if (n % 500 === 0) await new Promise((resolve) => { setImmediate(resolve); });
      }
      stream.socket.resume();
      await expect.poll(async () => {
        api.controlPlane.events.publish('filler', { last: true });
        return stream.has('gap');
      }).toBe(true);
      expect(stream.received()).toBeLessThan(20_000);
      stream.socket.destroy();
    });

    test('listeners are bounded', async () => {
      const stop = Array.from({ length: 256 }, () => api.controlPlane.events.listen(() => {}));
      const answer = await fetch(`http://127.0.0.1:${port}/v1/events`);
      expect(answer.status).toBe(503);
      expect(await answer.json()).toMatchObject({ code: 'too-many-listeners' });
      for (const end of stop) end();
    });
  });
});

interface EventStream {
  readonly socket: Socket;
  next(event?: string): Promise<{ readonly id: string; readonly event: string; readonly data: unknown }>;
  has(event: string): boolean;
  received(): number;
}

async function openEvents(port: number, headers = '', query = ''): Promise<EventStream> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`GET /v1/events${query} HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`);
  let text = '';
  let taken = 0;
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await expect.poll(() => text).toContain(': connected');
  const events = (): { id: string; event: string; data: unknown }[] =>
    [...text.matchAll(/id: (\S+)\nevent: (\S+)\ndata: (.*)\n\n/g)].map(([, id = '', event = '', data = '']) => ({ id, event, data: JSON.parse(data) as unknown }));
  return {
    socket,
    has: (wanted) => events().some(({ event }) => event === wanted),
    received: () => events().length,
    async next(wanted) {
      await expect.poll(() => events().slice(taken).some(({ event }) => wanted === undefined || event === wanted)).toBe(true);
      const at = events().findIndex(({ event }, index) => index >= taken && (wanted === undefined || event === wanted));
      taken = at + 1;
      const found = events()[at];
      if (!found) throw new Error('no event');
      return found;
    },
  };
}
