import http2 from 'node:http2';
import fc from 'fast-check';
import { reasons } from '@remora/errors/reason';
import { afterEach, describe, expect, it } from 'vitest';
import type { GatewayRig } from '../testdata/gateway-rig.ts';
import { TunnelEnds } from '../testdata/tunnel-ends.ts';
import { GrpcWebMeter } from './grpc-web-meter.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());

function frame(flag: number, payload: Uint8Array): Buffer {
  const head = Buffer.from([flag, 0, 0, 0, 0]);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

const trailers = (text: string): Buffer => frame(0x80, Buffer.from(text, 'latin1'));
const base64 = (bytes: Uint8Array): Buffer => Buffer.from(Buffer.from(bytes).toString('base64'), 'latin1');

describe('what follows a gRPC-Web response', () => {
  it('knows the borders of messages and the status, however the bytes are cut, in base64 too', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), fc.integer({ min: 0, max: 16 }), fc.boolean(), fc.array(fc.nat(60), { maxLength: 30 }), (messages, code, text, cuts) => {
      const parts = [...messages.map((message) => frame(0, message)), trailers(`x-a: b\r\ngrpc-status:${code}\r\ngrpc-message: no\r\n`)].map((part) => (text ? base64(part) : part));
      const whole = Buffer.concat(parts);
      const borders = new Set([0]);
      for (const part of parts.slice(0, -1)) borders.add(Math.max(...borders) + part.length);
      const meter = new GrpcWebMeter(text);
      let at = 0;
      for (const cut of [...cuts, whole.length]) {
        const to = Math.min(whole.length, at + cut);
        meter.feed(whole, at, to);
        at = to;
        expect(meter.atBoundary).toBe(borders.has(at));
      }
      expect(meter.status).toBe(code);
    }));
  });

  it('takes one stream of base64 as well, where messages end within a group', () => {
    const meter = new GrpcWebMeter(true);
    const whole = base64(Buffer.concat([frame(0, Buffer.from('ab')), frame(0, Buffer.from('c')), trailers('grpc-status: 3\r\n')]));
    for (let i = 0; i < whole.length; i++) meter.feed(whole, i, i + 1);
    expect(meter.status).toBe(3);
  });

  it.each(['', 'grpc-status: x\r\n', 'x-grpc-status: 5\r\n', `a: ${'x'.repeat(9000)}\r\ngrpc-status: 5\r\n`])('finds no status in trailers that have none, or too many', (text) => {
    const meter = new GrpcWebMeter(false);
    const bytes = trailers(text);
    meter.feed(bytes, 0, bytes.length);
    expect([meter.status, meter.atBoundary]).toEqual([-1, false]);
  });
});

const request = (type: string): string => `POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0`;

/** An app that says so much of its answer, and then nothing more. */
async function start(type: string, said: Uint8Array): Promise<GatewayRig> {
  const { rig } = await ends.rig(async (end) => {
    await end.untilText('\0\0\0\0\0');
    end.send(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${said.length.toString(16)}\r\n`);
    end.send(said);
    end.send('\r\n');
  }, { timeouts: { idle: '600ms' } });
  return rig;
}

describe('a gRPC-Web answer that has begun and hits a limit', () => {
  it.each(['application/grpc-web+proto', 'application/grpc-web-text'])('ends with a frame of trailers: %s', async (type) => {
    const text = type.endsWith('text');
    const message = frame(0, Buffer.from('one'));
    const rig = await start(type, text ? base64(message) : message);
    const client = await ends.client(rig.port);
    client.send(request(type));
    const answer = await client.message('response', 1);
    const sent = Buffer.concat(answer?.body ?? []);
    const body = text ? Buffer.concat((sent.toString('latin1').match(/[^=]+=*/g) ?? []).map((part) => Buffer.from(part, 'base64'))) : sent;
    expect(body.subarray(0, 8)).toEqual(message);
    expect(body.subarray(8)).toEqual(trailers(`grpc-status: 4\r\ngrpc-message: ${reasons.streamIdle.title}\r\n`));
    await expect.poll(() => rig.plane.readSeries()[0]?.grpcCodes[4]).toBe(1);
    expect(rig.refusals).toMatchObject([{ reason: 'stream-idle' }]);
  });

  it('ends in the same way over HTTP/2', async () => {
    const message = frame(0, Buffer.from('one'));
    const rig = await start('application/grpc-web', message);
    const session = http2.connect(`http://127.0.0.1:${rig.port}`).on('error', () => {});
    ends.later(() => session.destroy());
    const stream = session.request({ ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc-web' });
    stream.end(Buffer.alloc(5));
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    expect(Buffer.concat(parts)).toEqual(Buffer.concat([message, trailers(`grpc-status: 4\r\ngrpc-message: ${reasons.streamIdle.title}\r\n`)]));
    expect(stream.rstCode).toBe(0);
  });

  it('is broken off within a message, where it would be read as a part of that', async () => {
    const rig = await start('application/grpc-web', frame(0, Buffer.alloc(100)).subarray(0, 50));
    const client = await ends.client(rig.port);
    client.send(request('application/grpc-web'));
    await client.untilClosed();
    expect(client.text).not.toContain('grpc-status');
    expect(client.text.endsWith('0\r\n\r\n')).toBe(false);
  });

  it('is counted by the status that the app put into its body', async () => {
    const type = 'application/grpc-web';
    const said = Buffer.concat([frame(0, Buffer.from('one')), trailers('grpc-status: 14\r\n')]);
    const { rig } = await ends.rig(async (end) => {
      await end.untilText('\0\0\0\0\0');
      end.send(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nConnection: close\r\n\r\n`);
      end.send(said);
      end.end();
    });
    const client = await ends.client(rig.port);
    client.send(request(type));
    expect(Buffer.concat((await client.message('response', 1))?.body ?? [])).toEqual(said);
    await expect.poll(() => rig.plane.readSeries()[0]?.grpcCodes[14]).toBe(1);
    expect(rig.plane.readSeries()[0]?.statusClasses[5]).toBe(1);
  });
});
