import net from 'node:net';
import tls from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import { allocateText } from '@remora/http/byte-text';
import { TestAuthority } from '@remora/testing/test-authority';
import { readIntoBuffer } from './read-into-buffer.ts';

const closers: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const secureContext = tls.createSecureContext({ ...new TestAuthority().issue({ dns: ['a.test'] }), ca: [] });

async function pair(onRead: (socket: net.Socket, text: string) => void, onEnd: (socket: net.Socket) => void): Promise<tls.TLSSocket> {
  const buffer = allocateText(16 * 1024);
  const server = net.createServer({ allowHalfOpen: true }, (raw) => {
    const socket = new tls.TLSSocket(raw, { isServer: true, secureContext });
    closers.push(() => socket.destroy());
    expect(readIntoBuffer(socket, buffer, (length) => onRead(socket, buffer.latin1Slice(0, length))), 'this Node keeps buffers of sockets elsewhere').toBe(true);
    socket.on('error', () => {});
    socket.on('end', () => onEnd(socket));
    socket.resume();
  });
  closers.push(() => server.close());
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const client = tls.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false });
  closers.push(() => client.destroy());
  return client;
}

it('what TLS decrypts comes in the buffer given, whole and in order, and then the end', async () => {
  let text = '';
  let largest = 0;
  const all = await new Promise<string>((resolve, reject) => {
    pair((_, part) => {
      text += part;
      largest = Math.max(largest, part.length);
    }, () => resolve(text)).then((client) => client.end(Array.from({ length: 50_000 }, (_, i) => `${i} `).join('')), reject);
  });
  expect(all).toBe(Array.from({ length: 50_000 }, (_, i) => `${i} `).join(''));
  expect(largest).toBeLessThanOrEqual(16 * 1024);
});

it('a paused socket reads no more than what had come already', async () => {
  const bytes = Buffer.alloc(8 * 1024 * 1024, 'x');
  let length = 0;
  let paused: net.Socket | null = null;
  const client = await pair((socket, part) => {
    length += part.length;
    if (paused !== null) return;
    paused = socket;
    socket.pause();
  }, () => {});
  client.end(bytes);
  await expect.poll(() => paused).not.toBeNull();
  // All that can be on its way is: the kernel takes no more from the client.
  const settled = async (): Promise<void> => {
    for (let before = -1; before !== client.bytesWritten;) {
      before = client.bytesWritten;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  };
  await settled();
  expect(length).toBeLessThanOrEqual(256 * 1024);
  (paused as net.Socket | null)?.resume();
  await expect.poll(() => length, { timeout: 10_000 }).toBe(bytes.length);
});

it('a socket without a handle is left as it is', () => {
  expect(readIntoBuffer(new net.Socket(), allocateText(16), () => {})).toBe(false);
});
