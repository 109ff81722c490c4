import { once } from 'node:events';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { writeError, writeQueued, writeRefused, writeTaken, writeToHandle, type HandleUser } from './socket-handle.ts';

const opened: { destroy(): void }[] = [];
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
});

/** Both ends of a connection over loopback; the far one is not read. */
async function connect(): Promise<{ near: net.Socket; far: net.Socket }> {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as unknown as [[net.Socket]];
  server.close();
  for (const socket of [near, far]) socket.on('error', () => {});
  opened.push(near, far);
  return { near, far };
}

class Counted implements HandleUser {
  bytes = 0;
  readonly failures: number[] = [];
  onHandleRead(): void {}
  onHandleWritten(bytes: number, status: number): void {
    this.bytes += bytes;
    if (status < 0) this.failures.push(status);
  }
}

test('what the kernel does not take at once is queued, told of, and arrives in order', async () => {
  const { near, far } = await connect();
  const user = new Counted();
  const pieceBytes = 64 * 1024;
  let queued = 0;
  let sent = 0;
  while (queued < 20 * pieceBytes) {
    const outcome = writeToHandle(near, Buffer.alloc(pieceBytes, sent % 251), user);
    expect([writeTaken, writeQueued]).toContain(outcome);
    if (outcome === writeQueued) queued += pieceBytes;
    sent++;
  }
  near.end();
  const chunks: Buffer[] = [];
  far.on('data', (chunk: Buffer) => chunks.push(chunk));
  far.resume();
  await once(far, 'end');
  const came = Buffer.concat(chunks);
  expect(came.length).toBe(sent * pieceBytes);
  for (let i = 0; i < sent; i++) expect(came[i * pieceBytes]).toBe(i % 251);
  expect(user).toMatchObject({ bytes: queued, failures: [] });
});

test('before there is a connection the stream does it, and what it still has goes first', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  opened.push(near);
  const user = new Counted();
  expect(writeToHandle(near, Buffer.from('two'), user)).toBe(writeRefused);
  near.write('one');
  const [far] = (await once(server, 'connection')) as [net.Socket];
  opened.push(far);
  server.close();
  if (near.writableLength > 0) expect(writeToHandle(near, Buffer.from('two'), user)).toBe(writeRefused);
  const [chunk] = (await once(far, 'data')) as [Buffer];
  expect(chunk.toString()).toBe('one');
  expect(writeToHandle(near, Buffer.from('two'), user)).toBe(writeTaken);
});

test('a peer that is gone is an error, at once or for what was queued', async () => {
  const { near, far } = await connect();
  const user = new Counted();
  let outcome = 0;
  far.resetAndDestroy();
  // The reset is on its way: writing ends when it has come.
  while (outcome >= 0 && user.failures.length === 0 && !near.destroyed) {
    outcome = writeToHandle(near, Buffer.alloc(1024), user);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  if (near.destroyed) expect(writeToHandle(near, Buffer.alloc(1), user)).toBe(writeRefused);
  else expect(['EPIPE', 'ECONNRESET']).toContain(writeError(Math.min(outcome, ...user.failures)).code);
});
