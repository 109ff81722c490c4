import { once } from 'node:events';
import http2 from 'node:http2';
import tls from 'node:tls';
import { afterEach, describe, expect, it, test } from 'vitest';
import { data, frame, framesIn, headers, ping, prefaceBytes, reset, settings, settingsAck, windowUpdate } from '@remora/http/http2/testdata/frame-bytes';
import { blockOf, literal } from '@remora/http/http2/testdata/header-block-reader';
import { TestAuthority } from '@remora/testing/test-authority';
import { WireEnd, WireUpstream } from '@remora/testing/wire-end';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';
import { TlsRig } from '../tls/testdata/tls-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const goAway = 7;
const calm = 11;
const body = 'x'.repeat(300_000);

/** The upstream keeps `/slow` waiting, and answers everything else. */
async function gateway(options: Partial<RigOptions> = {}): Promise<GatewayRig> {
  const up = await WireUpstream.start(async (end) => {
    for (let nth = 1; ; nth++) {
      const request = await end.message('request', nth);
      if (request === null || request.head.path === '/slow') return;
      const text = request.head.path === '/large' ? body : 'ok';
      end.send(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    }
  });
  closers.push(() => up.close());
  const rig = await GatewayRig.start({ upstreams: [up.port], ...options });
  closers.push(() => rig.close());
  return rig;
}

async function client(rig: GatewayRig, ...more: readonly Uint8Array[]): Promise<WireEnd> {
  const end = await WireEnd.connect(rig.port);
  closers.push(() => end.close());
  end.send(Buffer.concat([prefaceBytes, settings(), ...more]));
  return end;
}

const requestTo = (path: string, more: readonly (readonly [string, string])[] = []): Buffer => blockOf([[':method', 'GET'], [':scheme', 'http'], [':path', path], [':authority', 'a'], ...more]);
const slow = requestTo('/slow');

/** Whole frames that have come so far. */
function framesOf(end: WireEnd): ReturnType<typeof framesIn> {
  let at = 0;
  while (at + 9 <= end.received.length && at + 9 + end.received.readUIntBE(at, 3) <= end.received.length) at += 9 + end.received.readUIntBE(at, 3);
  return framesIn(end.received.subarray(0, at));
}

/** A clean request on a connection of its own: the body of its answer, once nothing is left. */
async function afterwards(rig: GatewayRig): Promise<string> {
  const end = await client(rig, headers(1, { block: requestTo('/') }));
  await end.until(() => framesOf(end).some(({ type, flags }) => type === 0 && (flags & 1) === 1));
  end.close();
  await rig.untilNothingIsLeft();
  return framesOf(end).filter(({ type }) => type === 0).map(({ payload }) => payload.toString()).join('');
}

describe('a client over HTTP/2 that', () => {
  test.each<[what: string, nth: (nth: number) => Uint8Array, reason: string]>([
    ['resets what it asked for, again and again', (n) => Buffer.concat([headers(n * 2 + 1, { block: slow }), reset(n * 2 + 1)]), 'resets'],
    ['makes us reset what it asked for', (n) => Buffer.concat([headers(n * 2 + 1, { block: slow }), windowUpdate(n * 2 + 1, 0)]), 'resets'],
    ['sends what is malformed', (n) => headers(n * 2 + 1, { block: literal('x', '1') }), 'resets'],
    ['floods with PING', () => ping, 'control-frames'], ['floods with SETTINGS', () => settings(), 'control-frames'], ['floods with WINDOW_UPDATE', () => windowUpdate(0, 1), 'window-updates'],
    ['floods with CONTINUATION', (n) => (n === 0 ? frame(1, 0, 1) : frame(9, 0, 1)), 'header-block-frames'], ['floods with empty DATA', (n) => (n === 0 ? headers(1, { end: false, block: slow }) : data(1, '')), 'empty-data'],
  ])('%s, is told to calm down and cut off', async (_, nth, reason) => {
    const rig = await gateway();
    const end = await client(rig, settingsAck);
    for (let n = 0; n < 200 && end.state === 'open'; n++) end.send(Buffer.concat(Array.from({ length: 50 }, (_piece, i) => nth(n * 50 + i))));
    await end.untilClosed();
    const last = framesOf(end).findLast(({ type }) => type === goAway);
    // The rest of the flood may meet a socket that is closed already: then there was no time to read why.
    if (last !== undefined) expect([last.payload.readUInt32BE(4), last.payload.subarray(8).toString()]).toEqual([calm, reason]);
    end.close();
    expect(await afterwards(rig)).toBe('ok');
  });

  test.each<[what: string, bytes: readonly Uint8Array[]]>([
    ['the preface', []], ['half a frame', [headers(1).subarray(0, 15)]], ['half a header block', [frame(1, 0, 1, Buffer.from([0x82]))]], ['a request', [headers(1, { block: slow })]],
    ['half a body', [headers(1, { end: false, block: requestTo('/slow', [['content-length', '100']]) }), data(1, 'abc')]], ['half a DATA frame', [headers(1, { end: false, block: slow }), data(1, 'abcdef').subarray(0, 12)]],
    ['many requests', Array.from({ length: 50 }, (_, n) => headers(n * 2 + 1, { block: slow }))], ['a response that it does not read', [settings([4, 0]), headers(1, { block: requestTo('/large') })]], ['GOAWAY', [headers(1, { block: slow }), frame(goAway, 0, 0, Buffer.alloc(8))]],
  ])('breaks off behind %s leaves nothing', async (_, bytes) => {
    for (const how of ['end', 'reset'] as const) {
      const rig = await gateway();
      const end = await client(rig, ...bytes);
      await end.until(() => framesOf(end).some(({ type, flags }) => type === 4 && flags === 1));
      end[how]();
      await rig.untilNothingIsLeft();
      expect(await afterwards(rig)).toBe('ok');
    }
  });

  it('takes no answer for long is reset, and the connection goes on', async () => {
    const rig = await gateway({ limits: { idleTimeout: '1s' } });
    const end = await client(rig, settings([4, 0]), headers(1, { block: requestTo('/large') }));
    await end.until(() => framesOf(end).some(({ type, streamId }) => type === 3 && streamId === 1));
    end.send(headers(3, { block: requestTo('/slow') }));
    end.send(ping);
    await end.until(() => framesOf(end).some(({ type, flags }) => type === 6 && flags === 1));
    expect(end.state).toBe('open');
  });

  it('begins a header block and does not end it is cut off', async () => {
    const rig = await gateway({ limits: { headerTimeout: '150ms' } });
    const end = await client(rig, settingsAck, frame(1, 0, 1, Buffer.from([0x82])));
    await end.untilClosed();
    expect(framesOf(end).at(-1)?.payload.subarray(8).toString()).toBe('header-block-time');
    expect(await afterwards(rig)).toBe('ok');
  });

  it('sends a body slower than it must gets 408', async () => {
    const rig = await gateway({ limits: { bodyTimeout: '150ms' } });
    const end = await client(rig, headers(1, { end: false, block: requestTo('/slow') }), data(1, 'abc'));
    await expect.poll(() => rig.refusals.at(-1)).toMatchObject({ reason: 'request-timeout', status: 408, pointer: '/bodyTimeout' });
    await end.until(() => framesOf(end).some(({ type, streamId, payload }) => type === 3 && streamId === 1 && payload.readUInt32BE() === 0));
  });

  it('lies about its body is reset, and the record says why', async () => {
    const rig = await gateway();
    await client(rig, headers(1, { end: false, block: requestTo('/slow', [['content-length', '2']]) }), data(1, 'abc', true));
    await expect.poll(() => rig.refusals.at(-1)).toMatchObject({ reason: 'bad-request', detail: 'HTTP/2 body-length' });
  });
});

test('ALPN chooses HTTP/2 where the client offers it', async () => {
  const authority = new TestAuthority();
  const rig = await TlsRig.start({ certificates: [authority.issue({ dns: ['shop.example'] })] });
  closers.push(() => rig.plane.close());
  const socket = tls.connect({ port: rig.port, host: '127.0.0.1', servername: 'shop.example', ALPNProtocols: ['h2', 'http/1.1'], rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  expect(socket.alpnProtocol).toBe('h2');
  const session = http2.connect('https://shop.example', { createConnection: () => socket });
  closers.push(() => session.destroy());
  const stream = session.request({ ':path': '/' });
  const [answer] = (await once(stream, 'response')) as [http2.IncomingHttpStatusHeader];
  expect(answer[':status']).toBe(200);
  stream.resume();
  await once(stream, 'close');
});
