import http2 from 'node:http2';
import net from 'node:net';
import { WireUpstream } from '@remora/testing/wire-end';
import { afterEach, expect, it } from 'vitest';
import { GatewayRig } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface OnRead {
  readonly buffer: Uint8Array;
  callback(length: number, bytes: Uint8Array): boolean;
}

/** Tells the end of a connection right behind the bytes that came last, whoever said stop: as TLS does with a close_notify behind the last record of a read. */
function dialEager(onEnd: () => void, options: net.NetConnectOpts): net.Socket {
  const { onread } = options as unknown as { readonly onread: OnRead };
  const socket = net.connect({ ...options, onread: {
    buffer: onread.buffer,
    callback(length: number, bytes: Uint8Array): boolean {
      const more = onread.callback(length, bytes);
      if (Buffer.from(bytes.buffer, bytes.byteOffset, length).includes('the end')) {
        socket.emit('end');
        onEnd();
      }
      return more;
    },
  } } as unknown as net.NetConnectOpts);
  return socket;
}

// The end of the connection was heard while the rest of an answer was held for a slow client: what was held was dropped, and the answer broken off.
it.each([
  ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n8\r\nbeginner\r\n7\r\nthe end\r\n0\r\n\r\n'],
  ['of a length', 'Connection: close\r\nContent-Length: 15\r\n\r\nbeginnerthe end'],
  ['until the end of the connection', '\r\nbeginnerthe end'],
])('an answer %s comes whole where its connection ends before the client has taken it', async (_what, rest) => {
  const up = await WireUpstream.start(async (end) => {
    await end.message('request', 1);
    end.send(`HTTP/1.1 200 OK\r\n${rest}`);
    end.end();
  });
  closers.push(() => up.close());
  let ended = (): void => {};
  const endHeard = new Promise<void>((resolve) => { ended = resolve; });
  const gateway = await GatewayRig.start({ upstreams: [up.port], dial: (options) => dialEager(ended, options) });
  closers.push(() => gateway.close());
  const session = http2.connect(`http://127.0.0.1:${gateway.port}`, { settings: { initialWindowSize: 4 } });
  closers.push(() => session.destroy());
  // A client without room for more than four bytes, until it reads.
  await new Promise((resolve) => { session.once('localSettings', resolve); });
  const stream = session.request({ ':path': '/' });
  let text = '';
  const over = new Promise<number>((resolve) => { stream.on('error', () => {}).once('close', () => resolve(stream.rstCode)); });
  await new Promise((resolve) => { stream.once('response', resolve).once('close', resolve); });
  await endHeard;
  stream.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  expect([await over, text]).toEqual([0, 'beginnerthe end']);
  await (await up.connection(1)).untilClosed();
});
