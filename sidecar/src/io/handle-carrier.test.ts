import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '@remora/core/clock';
import { acceptHandles } from './accept-handles.ts';
import { handlesWork } from './handles-test.ts';
import { Link } from './link.ts';
import { makeReadBuffer, type LinkContext } from './link-context.ts';
import type { LinkOwner } from './link-owner.ts';
import type { TcpHandle } from './node-handles.ts';
import { OutputSlabs } from './output-slabs.ts';
import { Turn } from './turn.ts';

const turn = new Turn(systemClock);
const context: LinkContext = { dial: net.connect, turn, slabs: new OutputSlabs(), readBuffer: makeReadBuffer() };
const closers: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

class Owner implements LinkOwner {
  readonly #chunks: Buffer[] = [];
  readonly events: string[] = [];
  link!: Link;
  onRead(bytes: Buffer, length: number): void {
    this.#chunks.push(Buffer.from(bytes.subarray(0, length)));
  }
  onEnd(): void {
    this.events.push('end');
  }
  onDrain(): void {
    this.events.push('drain');
  }
  onClosed(failed: boolean): void {
    this.events.push(failed ? 'failed' : 'closed');
  }
  onConnected(): void {
    this.events.push('connected');
  }
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** An accepted link on its handle, and the client at its other end, which is not read. */
async function accept(): Promise<{ owner: Owner; client: net.Socket }> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const owner = new Owner();
  const accepted = new Promise<TcpHandle>((resolve) => {
    expect(acceptHandles(server, resolve)).toBe(true);
  });
  const client = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => {});
  owner.link = Link.accepted(await accepted, context, owner);
  server.close();
  closers.push(() => owner.link.destroy(), () => client.destroy());
  return { owner, client };
}

async function received(client: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  client.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(client, 'end');
  return Buffer.concat(chunks);
}

test('handles are there in the Node that is run', async () => {
  expect(await handlesWork()).toBe(true);
});

describe('a connection on its handle', () => {
  test('reads and writes, and closes when both sides have ended', async () => {
    const { owner, client } = await accept();
    client.write('hello');
    await expect.poll(() => owner.bytes.toString()).toBe('hello');
    expect([owner.link.remoteAddress, owner.link.remotePort, owner.link.localAddress, owner.link.localPort]).toEqual(['127.0.0.1', client.localPort, '127.0.0.1', client.remotePort]);
    owner.link.send(Buffer.from('welcome'), 0, 7);
    owner.link.end();
    expect((await received(client)).toString()).toBe('welcome');
    client.end();
    await expect.poll(() => owner.events).toEqual(['end', 'closed']);
    expect(owner.link.failure).toBe('');
  });

  test('queues what the kernel does not take, in order, and tells when it has gone', async () => {
    const { owner, client } = await accept();
    const pieceBytes = 64 * 1024;
    let sent = 0;
    while (owner.link.unsent < 20 * pieceBytes) {
      const piece = Buffer.alloc(pieceBytes, sent % 251);
      owner.link.send(piece, 0, pieceBytes);
      owner.link.flush();
      sent++;
    }
    expect(owner.link.congested).toBe(true);
    owner.link.end();
    const came = await received(client);
    expect(came.length).toBe(sent * pieceBytes);
    for (let i = 0; i < sent; i++) expect(came[i * pieceBytes]).toBe(i % 251);
    await expect.poll(() => owner.events).toEqual(['drain']);
    expect(owner.link).toMatchObject({ congested: false, unsent: 0 });
  });

  test('reads nothing while it is paused', async () => {
    const { owner, client } = await accept();
    client.write('one');
    await expect.poll(() => owner.bytes.toString()).toBe('one');
    owner.link.pause();
    client.end('two');
    for (let i = 0; i < 20; i++) await new Promise((resolve) => { setImmediate(resolve); });
    expect(owner.bytes.toString()).toBe('one');
    owner.link.resume();
    await expect.poll(() => [owner.bytes.toString(), owner.events]).toEqual(['onetwo', ['end']]);
  });

  test('whose peer is gone has failed, and says why', async () => {
    const { owner, client } = await accept();
    client.resetAndDestroy();
    await expect.poll(() => owner.events).toEqual(['failed']);
    expect(owner.link.failure).toBe('ECONNRESET');
    owner.link.destroy();
    owner.link.send(Buffer.from('x'), 0, 1);
    owner.link.flush();
    expect(owner.events).toEqual(['failed']);
  });

  test.each([false, true])('can be reset, our end under way: %s', async (ending) => {
    const { owner, client } = await accept();
    if (ending) {
      owner.link.end();
      owner.link.flush();
    }
    owner.link.abort();
    await expect.poll(() => owner.events).toEqual(['closed']);
    client.resume();
    await expect.poll(() => client.readableEnded || client.destroyed).toBe(true);
  });
});

describe('a connection that we open', () => {
  test('is told of, and sends what goes first', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const owner = new Owner();
    owner.link = Link.connect({ host: '127.0.0.1', port: (server.address() as net.AddressInfo).port }, context, owner, Buffer.from('first'));
    const [socket] = (await once(server, 'connection')) as [net.Socket];
    closers.push(() => socket.destroy());
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('first');
    expect(owner.events).toEqual(['connected']);
  });

  test.each(['127.0.0.1', '::1'])('to nobody at %s fails with the reason', async (host) => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    server.close();
    await once(server, 'close');
    const owner = new Owner();
    owner.link = Link.connect({ host, port }, context, owner);
    await expect.poll(() => owner.events).toEqual(['failed']);
    expect(owner.link.failure).toMatch(/^(ECONNREFUSED|EADDRNOTAVAIL|ENETUNREACH|EAFNOSUPPORT)$/);
  });

  test('can be given up before it is made', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const owner = new Owner();
    owner.link = Link.connect({ host: '127.0.0.1', port: (server.address() as net.AddressInfo).port }, context, owner);
    owner.link.abort();
    await expect.poll(() => owner.events).toEqual(['closed']);
  });
});
