import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '@remora/core/clock';
import { TestAuthority } from '@remora/testing/test-authority';
import { acceptHandles } from './accept-handles.ts';
import { Link } from './link.ts';
import { makeReadBuffer, type LinkContext } from './link-context.ts';
import type { LinkOwner } from './link-owner.ts';
import type { TcpHandle } from './node-handles.ts';
import { OutputSlabs } from './output-slabs.ts';
import { Turn } from './turn.ts';

const authority = new TestAuthority();
const secureContext = tls.createSecureContext({ ...authority.issue({ dns: ['a.test'] }), ca: [] });
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Secures what comes at its first bytes, then does what the test wants. */
class Owner implements LinkOwner {
  link!: Link;
  readonly read: Buffer[] = [];
  ended = false;
  closed: boolean | null = null;
  readonly onSecured: () => void;
  #secured = false;

  constructor(onSecured: (link: Link) => void) {
    this.onSecured = () => onSecured(this.link);
  }

  onRead(bytes: Buffer, length: number): void {
    const part = Buffer.from(bytes.subarray(0, length));
    if (this.#secured) {
      this.read.push(part);
      return;
    }
    this.#secured = true;
    this.link.secure(part, { context: secureContext, protocols: [], clientCertificate: 'none' });
  }

  onEnd(): void {
    this.ended = true;
  }

  onDrain(): void {
    if (this.#secured) this.onSecured();
  }

  onClosed(failed: boolean): void {
    this.closed = failed;
  }
}

async function listen(handles: boolean, onSecured: (link: Link) => void): Promise<{ port: number; owners: Owner[] }> {
  const turn = new Turn(systemClock);
  const context: LinkContext = { dial: net.connect, turn, slabs: new OutputSlabs(), readBuffer: makeReadBuffer() };
  const owners: Owner[] = [];
  const accept = (connection: net.Socket | TcpHandle): void => {
    const owner = new Owner(onSecured);
    owners.push(owner);
    owner.link = Link.accepted(connection, context, owner);
    turn.end();
  };
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, accept);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  if (handles) expect(acceptHandles(server, accept)).toBe(true);
  closers.push(() => {
    for (const { link } of owners) link.destroy();
    server.close();
  });
  return { port: (server.address() as net.AddressInfo).port, owners };
}

/** Until the value is not 0, and many turns in which anything could have moved have not moved it. */
async function untilStill(value: () => number): Promise<void> {
  let still = 0;
  for (let before = 0; still < 100;) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const now = value();
    still = now !== 0 && now === before ? still + 1 : 0;
    before = now;
  }
}

function connect(port: number): { socket: tls.TLSSocket; text: () => string; length: () => number } {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, allowHalfOpen: true } as tls.ConnectionOptions);
  closers.push(() => socket.destroy());
  const chunks: Buffer[] = [];
  let length = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
  });
  socket.on('error', () => {});
  return { socket, text: () => Buffer.concat(chunks).toString('latin1'), length: () => length };
}

describe.each([true, false])('a link with TLS, on a handle: %s', (handles) => {
  it('reads, writes, and sees the end of the other side', async () => {
    const { port, owners } = await listen(handles, (link) => link.send(Buffer.from('welcome'), 0, 7));
    const { socket, text } = connect(port);
    socket.write('hello');
    await expect.poll(text).toBe('welcome');
    await expect.poll(() => Buffer.concat(owners[0]?.read ?? []).toString()).toBe('hello');
    socket.end();
    await expect.poll(() => owners[0]?.ended).toBe(true);
    owners[0]?.link.end();
    await expect.poll(() => owners[0]?.closed).toBe(false);
  });

  it('never overwrites what was written and is not encrypted yet', async () => {
    // Symptom: sent A and B, received A and C: a slab was filled again while TLS still had to read from it.
    const { port } = await listen(handles, (link) => {
      for (const letter of ['A', 'B', 'C', 'D', 'E', 'F']) {
        const bytes = Buffer.alloc(9_000, letter);
        link.send(bytes, 0, bytes.length);
        link.flush();
      }
    });
    const { text } = connect(port);
    await expect.poll(() => text().length).toBe(54_000);
    expect(text()).toBe(['A', 'B', 'C', 'D', 'E', 'F'].map((letter) => letter.repeat(9_000)).join(''));
  });

  it('holds back a producer until a slow reader has read', { timeout: 60_000 }, async () => {
    const bytes = Buffer.alloc(64 * 1024, 'x');
    const all = 400;
    let sent = 0;
    const { port, owners } = await listen(handles, (link) => {
      while (sent < all && link.send(bytes, 0, bytes.length)) sent++;
      // The piece that was answered with false was taken too.
      if (sent < all) sent++;
    });
    const { socket, length } = connect(port);
    socket.once('secureConnect', () => socket.pause());
    // What the kernel takes on both sides is far less than all of it: who is never told to stop has sent everything at once.
    await untilStill(() => (owners[0]?.link.congested === true ? sent : 0));
    expect(sent).toBeLessThan(all);
    socket.resume();
    await expect.poll(length, { timeout: 50_000 }).toBe(all * bytes.length);
  });

  it('can be reset, and ends when what comes cannot be decrypted', async () => {
    const { port, owners } = await listen(handles, (link) => link.send(Buffer.from('x'), 0, 1));
    const first = connect(port);
    await expect.poll(first.text).toBe('x');
    owners[0]?.link.abort();
    await expect.poll(() => owners[0]?.closed).not.toBeNull();
    await expect.poll(() => first.socket.destroyed).toBe(true);
    const raw = net.connect({ port, host: '127.0.0.1' });
    closers.push(() => raw.destroy());
    raw.on('error', () => {});
    const second = tls.connect({ socket: raw, rejectUnauthorized: false });
    second.on('error', () => {});
    await new Promise((resolve) => {
      second.once('data', resolve);
    });
    raw.write(Buffer.from([23, 3, 3, 0, 20, ...Buffer.alloc(20, 7)]));
    await expect.poll(() => owners[1]?.closed).not.toBeNull();
    expect(owners[1]?.link.failure).toMatch(/^ERR_SSL_/);
  });
});
