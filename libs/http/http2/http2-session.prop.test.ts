import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildRequestHead, buildResponseHead } from '../head-builder.ts';
import { data, frame, framesIn, headers, ping, prefaceBytes, reset, settings, settingsAck, windowUpdate } from './testdata/frame-bytes.ts';
import { blockOf } from './testdata/header-block-reader.ts';
import { SessionEnd, exchange, request, sessionPair, type RecordedStream } from './testdata/session-end.ts';

const streamId = fc.oneof(fc.constantFrom(0, 1, 3, 5, 7, 9, 11), fc.constantFrom(2, 4, 2 ** 31 - 1));
const anyFrame = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(streamId, fc.boolean()).map(([id, end]) => headers(id, { end })) },
  { weight: 6, arbitrary: fc.tuple(streamId, fc.nat(3000), fc.boolean()).map(([id, size, end]) => data(id, Buffer.alloc(size, 'x'), end)) },
  { weight: 2, arbitrary: streamId.map((id) => headers(id, { block: blockOf([['x-sum', '1']]) })) },
  { weight: 2, arbitrary: streamId.map((id) => headers(id, { block: Buffer.from([0x88]), end: false })) },
  { weight: 2, arbitrary: streamId.map((id) => reset(id)) },
  { weight: 2, arbitrary: fc.tuple(streamId, fc.constantFrom(0, 1, 1000, 2 ** 31 - 1)).map(([id, increment]) => windowUpdate(id, increment)) },
  { weight: 2, arbitrary: fc.constantFrom(ping, settings(), settingsAck, settings([4, 0]), settings([4, 100_000], [1, 100])) },
  { weight: 1, arbitrary: fc.tuple(fc.nat(12), fc.nat(255), streamId, fc.uint8Array({ maxLength: 40 })).map(([type, flags, id, payload]) => frame(type, flags, id, payload)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
);

/** What the owner does with the nth request: answers, resets, holds back, and so on. */
function behave(one: RecordedStream, how: number): void {
  const body = Buffer.alloc(how * 1000);
  switch (how % 8) {
    case 0:
      one.stream.sendHead(buildResponseHead({ status: 200 }), true);
      break;
    case 1:
      one.stream.resume();
      break;
    case 2:
      one.takes = false;
      one.stream.resume();
      break;
    case 3:
      one.stream.reset(8);
      break;
    case 4:
      one.stream.discard();
      break;
    case 5:
      one.stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
      one.stream.sendData(body, 0, body.length, how % 2 === 0);
      break;
    case 6:
      one.stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
      one.stream.sendData(body, 0, body.length, false);
      one.stream.sendTrailers(buildResponseHead({ status: 0, headers: { 'x-sum': '1' } }));
      break;
    default:
      one.stream.sendInfo(buildResponseHead({ status: 103 }));
  }
}

function checkInvariants(end: SessionEnd): void {
  const { heldBytes, queuedBytes, heldBytesPeak } = end.session.counters;
  expect(heldBytes).toBeGreaterThanOrEqual(0);
  expect(heldBytesPeak).toBeLessThanOrEqual(1024 * 1024);
  expect(queuedBytes).toBeGreaterThanOrEqual(0);
  expect(end.session.openStreams).toBeLessThanOrEqual(100);
  for (const { closed, ended, reset: failure } of end.requests) {
    expect(closed).toBeLessThanOrEqual(1);
    expect(ended && failure !== null && failure.by === 'local' && failure.reason === 'body-length').toBe(false);
  }
  if (end.failure !== null) expect([end.session.openStreams, heldBytes, queuedBytes]).toEqual([0, 0, 0]);
}

test.each(['server', 'client'] as const)('a %s takes any sequence of frames without a throw, in bounded memory, and what it writes is frames', (role) => {
  fc.assert(fc.property(fc.array(anyFrame, { maxLength: 60 }), fc.array(fc.nat(60), { minLength: 60, maxLength: 60 }), fc.integer({ min: 1, max: 4000 }), (frames, ways, pieceSize) => {
    const end = new SessionEnd(role).start();
    end.read(role === 'server' ? Buffer.concat([prefaceBytes, settings()]) : settings());
    const own: RecordedStream[] = [];
    frames.forEach((bytes, i) => {
      if (role === 'client' && end.session.canOpen && i % 3 === 0) own.push(request(end, buildRequestHead({ method: 'POST', authority: 'a', target: '/', bodyLength: -1 }), i % 2 === 0));
      end.read(bytes, pieceSize);
      const way = ways[i] as number;
      const streams = role === 'server' ? end.requests : own;
      const one = streams[way % Math.max(1, streams.length)];
      if (one !== undefined && (role === 'server' || way % 8 === 1 || way % 8 === 3)) behave(one, way);
      end.advance(way * 20);
      checkInvariants(end);
    });
    framesIn(role === 'client' ? end.output.take().subarray(24) : end.output.take());
    end.session.peerClosed();
    expect(end.session.openStreams).toBe(0);
    expect(end.session.counters).toMatchObject({ heldBytes: 0, queuedBytes: 0 });
    for (const one of [...end.requests, ...own]) expect(one.closed).toBe(1);
  }), { numRuns: 400 });
});

test('what a server makes of its input does not depend on how it is cut', () => {
  fc.assert(fc.property(fc.array(anyFrame, { maxLength: 40 }), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }), (frames, cuts) => {
    const input = Buffer.concat([prefaceBytes, settings(), ...frames]);
    const seen = [input.length, 0].map((whole) => {
      const end = new SessionEnd('server').start();
      end.accept = (one) => {
        one.stream.resume();
        return true;
      };
      for (let at = 0, i = 0; at < input.length; i++) {
        const size = whole > 0 ? whole : (cuts[i % cuts.length] as number);
        end.read(input.subarray(at, at + size));
        at += size;
      }
      return { failure: end.failure, requests: end.requests.map((one) => [one.head?.path, one.text.length, one.ended, one.reset?.reason, one.closed, one.trailers?.rowCount]) };
    });
    expect(seen[1]).toEqual(seen[0]);
  }), { numRuns: 300 });
});

const step = fc.record({ stream: fc.nat(9), what: fc.constantFrom('send', 'send', 'end', 'trailers', 'resume', 'stop', 'carry', 'carry'), size: fc.nat(60_000) });

test('between two sessions every body arrives whole and in order, whatever the windows and the cuts', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), fc.constantFrom(65_535, 70_000, 300_000), fc.constantFrom(1, 20_000, 65_535), fc.integer({ min: 500, max: 70_000 }), (steps, connectionWindowBytes, streamWindowBytes, pieceSize) => {
    const { client, server } = sessionPair({ connectionWindowBytes, streamWindowBytes });
    const sent: { one: RecordedStream; bytes: number; done: boolean }[] = [];
    for (const { stream, what, size } of steps) {
      const known = sent[stream];
      if (what === 'carry') exchange(client, server, pieceSize);
      else if (known === undefined) sent.push({ one: request(client, buildRequestHead({ method: 'POST', authority: 'a', target: `/${sent.length}`, bodyLength: -1 }), false), bytes: 0, done: false });
      else if (what === 'resume' || what === 'stop') {
        const far = server.requests.find(({ stream: { id } }) => id === known.one.stream.id);
        if (far === undefined) continue;
        far.takes = what === 'resume';
        far.stream.resume();
      } else if (!known.done) {
        const bytes = Buffer.from(Array.from({ length: size % 5000 }, (_, i) => known.bytes + i));
        if (what === 'trailers') known.one.stream.sendTrailers(buildResponseHead({ status: 0, headers: { 'x-sum': '1' } }));
        else known.one.stream.sendData(bytes, 0, bytes.length, what === 'end');
        known.done = what !== 'send';
        if (what !== 'trailers') known.bytes += bytes.length;
      }
    }
    for (const known of sent) if (!known.done) known.one.stream.sendData(Buffer.alloc(0), 0, 0, true);
    for (let i = 0; i < 3000 && !sent.every((_, n) => server.requests[n]?.ended === true); i++) {
      exchange(client, server, pieceSize);
      for (const far of server.requests) {
        far.takes = true;
        far.stream.resume();
      }
    }
    expect([client.failure, server.failure]).toEqual([null, null]);
    sent.forEach(({ bytes }, n) => {
      const far = server.requests[n] as RecordedStream;
      const body = Buffer.concat(far.body);
      expect([far.ended, body.length]).toEqual([true, bytes]);
      for (let at = 0; at < body.length; at += 97) if (body[at] !== (at & 255)) throw new Error(`byte ${at} is ${body[at]}`);
    });
    expect([server.session.counters.heldBytes, client.session.counters.queuedBytes]).toEqual([0, 0]);
  }), { numRuns: 100 });
});
