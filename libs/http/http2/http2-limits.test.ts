import { describe, expect, test } from 'vitest';
import { buildRequestHead, buildResponseHead } from '../head-builder.ts';
import { errorCode } from './error-code.ts';
import { frameFlag, frameType } from './frame-type.ts';
import type { Http2Limits } from './http2-limits.ts';
import { data, frame, framesIn, headers, ping, prefaceBytes, reset, settings, settingsAck, uint32, windowUpdate } from './testdata/frame-bytes.ts';
import { literal } from './testdata/header-block-reader.ts';
import { SessionEnd, exchange, request, sessionPair, type RecordedStream } from './testdata/session-end.ts';

function server(limits: Partial<Http2Limits> = {}): SessionEnd {
  const end = new SessionEnd('server', limits).start();
  end.read(Buffer.concat([prefaceBytes, settings(), settingsAck]));
  end.output.take();
  return end;
}

const calm = errorCode.enhanceYourCalm;
const unending = (streamId: number): Buffer => headers(streamId, { end: false });

/** Sends until the session gives up; answers how often. */
function until(end: SessionEnd, most: number, next: (nth: number) => Buffer): number {
  for (let nth = 0; nth < most; nth++) {
    if (end.failure !== null) return nth;
    end.read(next(nth));
    end.output.take();
  }
  return most;
}

describe('one budget for streams that end while their handler runs (security.md 2.2)', () => {
  const budget = { resets: { burst: 50, perSecond: 10 } };

  test.each<[what: string, bytes: (streamId: number) => Buffer]>([
    ['HTTP/2 Rapid Reset (CVE-2023-44487): the client resets', (id) => Buffer.concat([headers(id), reset(id)])],
    ['MadeYouReset (CVE-2025-8671): WINDOW_UPDATE of 0', (id) => Buffer.concat([headers(id), windowUpdate(id, 0)])],
    ['MadeYouReset (CVE-2025-8671): a window too large', (id) => Buffer.concat([headers(id), windowUpdate(id, 2 ** 31 - 1)])],
    ['MadeYouReset (CVE-2025-8671): DATA behind the end', (id) => Buffer.concat([headers(id), data(id, 'x')])],
    ['MadeYouReset (CVE-2025-8671): HEADERS behind the end', (id) => Buffer.concat([headers(id), headers(id)])],
    ['MadeYouReset (CVE-2025-8671): PRIORITY of another size', (id) => Buffer.concat([headers(id), frame(2, 0, id, Buffer.alloc(4))])],
    ['requests that are malformed', (id) => headers(id, { block: literal('x', '1') })],
  ])('%s', (_, bytes) => {
    const end = server(budget);
    const sent = until(end, 1000, (nth) => bytes(nth * 2 + 1));
    expect(end.failure).toEqual({ code: calm, byPeer: false, reason: 'resets' });
    expect(sent).toBeLessThanOrEqual(52);
    expect(end.session.openStreams).toBe(0);
    expect(end.requests.every(({ closed }) => closed === 1)).toBe(true);
  });

  test('is refilled with time, and not spent by streams that lived for a while or were answered', () => {
    const end = server(budget);
    for (let i = 0; i < 500; i++) {
      end.read(headers(i * 2 + 1));
      if (i % 3 === 0) (end.requests.at(-1) as RecordedStream).stream.sendHead(buildResponseHead({ status: 200 }), true);
      else {
        end.advance(i % 3 === 1 ? 100 : 1000);
        end.read(reset(i * 2 + 1));
      }
    }
    expect(end.failure).toBeNull();
  });

  test('never are more requests open than announced', () => {
    const end = server({ streamsMax: 10 });
    let most = 0;
    until(end, 200, (nth) => {
      most = Math.max(most, end.requests.filter(({ closed }) => closed === 0).length);
      return nth % 3 === 2 ? reset(nth * 2 - 1) : unending(nth * 2 + 1);
    });
    expect(most).toBeLessThanOrEqual(10);
  });
});

describe('control frames have budgets (security.md 2.4)', () => {
  test.each<[what: string, bytes: Buffer, reason: string]>([
    ['PING', ping, 'control-frames'], ['answers to PING', frame(frameType.ping, frameFlag.ack, 0, Buffer.alloc(8)), 'control-frames'], ['SETTINGS', settings(), 'control-frames'], ['acknowledgements', settingsAck, 'control-frames'],
    ['PRIORITY', frame(frameType.priority, 0, 3, Buffer.alloc(5)), 'control-frames'], ['unknown frames', frame(0x77, 0, 0), 'control-frames'], ['RST_STREAM of closed streams', reset(1), 'control-frames'], ['GOAWAY', frame(frameType.goAway, 0, 0, uint32(0, 0)), 'control-frames'],
    ['empty DATA', data(5, ''), 'empty-data'], ['DATA of nothing but padding', frame(frameType.data, frameFlag.padded, 5, Buffer.from([200, ...Buffer.alloc(200)])), 'empty-data'],
    ['WINDOW_UPDATE', windowUpdate(0, 1), 'window-updates'], ['WINDOW_UPDATE of streams', windowUpdate(5, 1), 'window-updates'],
  ])('%s', (_, bytes, reason) => {
    const end = server();
    end.read(Buffer.concat([headers(1), unending(5)]));
    (end.requests[0] as RecordedStream).stream.reset(errorCode.cancel);
    const sent = until(end, 10_000, () => bytes);
    expect(end.failure).toEqual({ code: calm, byPeer: false, reason });
    expect(sent).toBeLessThanOrEqual(2001);
    const slow = server();
    slow.read(Buffer.concat([headers(1), unending(5)]));
    (slow.requests[0] as RecordedStream).stream.reset(errorCode.cancel);
    until(slow, 3000, () => {
      slow.advance(100);
      return bytes;
    });
    expect(slow.failure).toBeNull();
  });

  test('DATA with a body is not empty, wherever its padding is cut off', () => {
    const end = server();
    end.read(unending(1));
    const padded = frame(frameType.data, frameFlag.padded, 1, Buffer.from([4, 120, 0, 0, 0, 0]));
    for (let nth = 0; nth < 500; nth++) {
      end.read(padded.subarray(0, 11));
      end.read(padded.subarray(11));
    }
    expect(end.failure).toBeNull();
  });

  test('PING is earned by answers, as gRPC libraries measure round trips with it', () => {
    const end = server();
    for (let i = 0; i < 5000; i++) {
      end.read(Buffer.concat([headers(i * 2 + 1), ping]));
      (end.requests.at(-1) as RecordedStream).stream.sendHead(buildResponseHead({ status: 200 }), true);
      end.output.take();
    }
    expect(end.failure).toBeNull();
  });

  test('WINDOW_UPDATE is earned by DATA', () => {
    const { client, server: far } = sessionPair();
    client.accept = () => true;
    const asked = request(client, buildRequestHead({ method: 'GET', authority: 'a', target: '/' }));
    exchange(client, far);
    const [received] = far.requests as [RecordedStream];
    received.stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    const piece = Buffer.alloc(65_536);
    for (let i = 0; i < 1500; i++) {
      received.stream.sendData(piece, 0, piece.length, false);
      exchange(client, far);
      far.read(Buffer.concat(Array.from({ length: 4 }, () => windowUpdate(received.stream.id, 1))));
    }
    expect(far.failure).toBeNull();
    expect(asked.reset).toBeNull();
  });

  test('answers that the peer does not read are bounded', () => {
    const end = server({ controlFrames: { burst: 1_000_000, perSecond: 1 } });
    end.output.congested = true;
    expect(until(end, 10_000, () => ping)).toBeLessThanOrEqual(1002);
    expect(end.failure).toMatchObject({ code: calm, reason: 'output-queue' });
  });
});

describe('a header block is capped (CVE-2024-27983, security.md 2.3)', () => {
  test('in frames', () => {
    const end = server();
    end.read(frame(frameType.headers, 0, 1));
    expect(until(end, 1000, () => frame(frameType.continuation, 0, 1))).toBeLessThan(35);
    expect(end.failure).toEqual({ code: calm, byPeer: false, reason: 'header-block-frames' });
  });

  test('in bytes', () => {
    const end = server();
    const block = Buffer.concat([Buffer.from([0]), Buffer.alloc(16_000)]);
    end.read(frame(frameType.headers, 0, 1, block));
    expect(until(end, 1000, () => frame(frameType.continuation, 0, 1, block))).toBeLessThan(10);
    expect(end.failure).toEqual({ code: calm, byPeer: false, reason: 'header-block-bytes' });
  });

  test.each([['between its frames', frame(frameType.headers, 0, 1, Buffer.from([0x82]))], ['within a frame', headers(1).subarray(0, 12)], ['within a frame\'s header', headers(1).subarray(0, 4)]])('in time, %s', (_, bytes) => {
    const end = server({ headerBlockTimeoutMs: 500 });
    end.read(bytes);
    end.advance(499);
    expect(end.failure).toBeNull();
    end.advance(1);
    expect(end.failure).toEqual({ code: calm, byPeer: false, reason: 'header-block-time' });
  });

  test('a request beyond the limits can be answered, and the next one is read', () => {
    const end = server({ head: { bytesMax: 400, fieldsMax: 5 } });
    const block = Buffer.concat([Buffer.from([0x82, 0x86, 0x84]), literal(':authority', 'a'), literal('kept', 'yes', 0x40), ...Array.from({ length: 9 }, () => literal('x', 'y'.repeat(20)))]);
    end.read(Buffer.concat([headers(1, { block }), headers(3)]));
    expect(end.unread).toEqual(['head-too-large']);
    expect(end.requests).toHaveLength(1);
    expect(end.failure).toBeNull();
  });
});

describe('memory and time are bounded', () => {
  test('a window of zero is held for a bounded time (security.md 2.4)', () => {
    const end = new SessionEnd('server', { stalledTimeoutMs: 1000 }).start();
    end.read(Buffer.concat([prefaceBytes, settings([4, 0]), settingsAck, headers(1), headers(3)]));
    const [stuck, moving] = end.requests as [RecordedStream, RecordedStream];
    for (const { stream } of [stuck, moving]) {
      stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
      expect(stream.sendData(Buffer.alloc(5000), 0, 5000, true)).toBe(false);
    }
    expect(end.session.counters.queuedBytes).toBe(10_000);
    end.advance(900);
    end.read(windowUpdate(3, 100));
    end.advance(100);
    expect(stuck.reset).toEqual({ code: errorCode.cancel, by: 'local', unprocessed: false, reason: 'stalled' });
    expect(moving.reset).toBeNull();
    expect(end.session.counters.queuedBytes).toBe(4900);
    end.advance(900);
    expect(moving.reset).toMatchObject({ reason: 'stalled' });
    expect(end.session.counters.queuedBytes).toBe(0);
  });

  test('what consumers do not take is bounded by the windows, over all streams', () => {
    const end = server({ streamWindowBytes: 100_000, connectionWindowBytes: 150_000 });
    let sent = 0;
    until(end, 100, (nth) => {
      const id = (nth >> 3) * 2 + 1;
      const bytes = nth % 8 === 0 ? unending(id) : data(id, Buffer.alloc(10_000));
      sent += nth % 8 === 0 ? 0 : 10_000;
      return bytes;
    });
    expect(end.failure).toMatchObject({ code: errorCode.flowControlError, reason: 'flow-control' });
    expect(sent).toBeGreaterThan(150_000);
    expect(end.session.counters.heldBytesPeak).toBeLessThanOrEqual(150_000);
    expect(end.session.counters.heldBytes).toBe(0);
  });

  test('padding counts for flow control, and is credited at once', () => {
    const end = server({ streamWindowBytes: 65_535, connectionWindowBytes: 65_535 });
    end.read(unending(1));
    const padded = frame(frameType.data, frameFlag.padded, 1, Buffer.concat([Buffer.from([255]), Buffer.from('a'), Buffer.alloc(255)]));
    for (let i = 0; i < 300; i++) end.read(padded, 100);
    expect(end.failure).toBeNull();
    const updates = framesIn(end.output.take()).filter(({ type }) => type === frameType.windowUpdate);
    const credited = (streamId: number): number => updates.filter((update) => update.streamId === streamId).reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0);
    expect(credited(0)).toBeGreaterThan(300 * 256 - 33_000);
    expect(credited(1)).toBe(credited(0));
    expect(end.session.counters.heldBytes).toBe(300);
  });

  test('a client that says nothing, or acknowledges nothing, is given up', () => {
    for (const bytes of [Buffer.alloc(0), prefaceBytes, Buffer.concat([prefaceBytes, settings()])]) {
      const end = new SessionEnd('server', { settingsTimeoutMs: 1000 }).start();
      end.read(bytes);
      end.advance(1000);
      expect(end.failure).toEqual({ code: errorCode.settingsTimeout, byPeer: false, reason: 'settings-timeout' });
    }
    const end = server({ settingsTimeoutMs: 1000 });
    end.advance(5000);
    expect(end.failure).toBeNull();
  });

  test('a peer that answers no PING is given up, where that is asked for', () => {
    const { client, server: far } = sessionPair({}, { keepAliveMs: 1000, keepAliveTimeoutMs: 500 });
    request(client, buildRequestHead({ method: 'GET', authority: 'a', target: '/' }));
    exchange(client, far);
    for (let i = 0; i < 10; i++) {
      client.advance(1000);
      exchange(client, far);
    }
    expect(client.failure).toBeNull();
    expect(client.session.counters.pingsOut).toBeGreaterThan(4);
    client.advance(2000);
    client.advance(500);
    expect(client.failure).toMatchObject({ reason: 'keep-alive-timeout' });
  });

  test('an abrupt end in any state leaves nothing (CVE-2025-23085)', () => {
    const end = server();
    end.read(Buffer.concat([unending(1), data(1, 'x'.repeat(1000)), headers(3), unending(5), frame(frameType.headers, 0, 7, Buffer.from([0x82]))]));
    const [, answered] = end.requests;
    answered?.stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    answered?.stream.sendData(Buffer.alloc(100_000), 0, 100_000, true);
    end.session.peerClosed();
    expect(end.session.openStreams).toBe(0);
    expect(end.session.counters).toMatchObject({ heldBytes: 0, queuedBytes: 0 });
    expect(end.requests.map(({ reset: ended, closed }) => [ended?.by, closed])).toEqual([['connection', 1], ['connection', 1], ['connection', 1]]);
    end.read(data(1, 'x'));
    end.advance(1_000_000);
    expect(end.failure).toBeNull();
  });
});

describe('flow control of what is sent', () => {
  test('streams that wait take turns, a frame each', () => {
    const end = server();
    end.read(Buffer.concat([settings([4, 2 ** 20]), headers(1), headers(3), headers(5)]));
    end.output.take();
    for (const { stream } of end.requests) {
      stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
      stream.sendData(Buffer.alloc(100_000), 0, 100_000, false);
    }
    end.output.take();
    end.read(windowUpdate(0, 16_384 * 6));
    const order = framesIn(end.output.take()).filter(({ type }) => type === frameType.data).map(({ streamId }) => streamId);
    expect([...new Set(order)].sort((a, b) => a - b)).toEqual([1, 3, 5]);
    for (const id of [1, 3, 5]) expect(order.filter((streamId) => streamId === id).length).toBeLessThanOrEqual(4);
  });

  test('a window may become negative, and nothing is sent until it is positive again (RFC 9113 section 6.9.2)', () => {
    const end = server();
    end.read(headers(1));
    const [{ stream }] = end.requests as [RecordedStream];
    stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    stream.sendData(Buffer.alloc(60_000), 0, 60_000, false);
    end.read(settings([4, 10_000]));
    expect(stream.sendWindow).toBe(10_000 - 60_000);
    end.output.take();
    stream.sendData(Buffer.alloc(100), 0, 100, true);
    end.read(windowUpdate(1, 50_000));
    expect(framesIn(end.output.take())).toEqual([]);
    end.read(windowUpdate(1, 60));
    end.read(windowUpdate(1, 60));
    expect(framesIn(end.output.take()).map(({ flags, payload }) => [flags, payload.length])).toEqual([[0, 60], [1, 40]]);
  });

  test('trailers and the end wait for the body before them', () => {
    const { client, server: far } = sessionPair({}, { streamWindowBytes: 70_000 });
    const asked = request(client, buildRequestHead({ method: 'GET', authority: 'a', target: '/' }));
    asked.takes = false;
    exchange(client, far);
    const [received] = far.requests as [RecordedStream];
    received.stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    expect(received.stream.sendData(Buffer.alloc(200_000, 'x'), 0, 200_000, false)).toBe(false);
    received.stream.sendTrailers(buildResponseHead({ status: 0, headers: { 'x-sum': '1' } }));
    expect(received.stream.sendEnded).toBe(true);
    for (let i = 0; i < 20 && !asked.ended; i++) {
      exchange(client, far);
      asked.takes = true;
      asked.stream.resume();
    }
    exchange(client, far);
    expect(asked.text.length).toBe(200_000);
    expect(asked.trailers?.valueAt(0, 0)).toBeDefined();
    expect(asked).toMatchObject({ ended: true, closed: 1, reset: null });
    expect(received).toMatchObject({ closed: 1, reset: null });
  });

  test('a congested output holds bodies back, heads and control frames not', () => {
    const end = server();
    end.read(headers(1));
    const [received] = end.requests as [RecordedStream];
    end.output.congested = true;
    received.stream.sendHead(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    expect(received.stream.sendData(Buffer.from('abc'), 0, 3, false)).toBe(false);
    end.read(ping);
    expect(framesIn(end.output.take()).map(({ type }) => type)).toEqual([frameType.headers, frameType.ping]);
    end.output.congested = false;
    end.session.drained();
    expect(framesIn(end.output.take()).map(({ type }) => type)).toEqual([frameType.data]);
    expect(received.writable).toBe(1);
  });

  test('heads longer than a frame go out in several', () => {
    const { client, server: far } = sessionPair();
    const fields = Array.from({ length: 60 }, (_, i) => [`x-${i}`, '{'.repeat(700)] as const);
    request(client, buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: fields }));
    const sent = client.output.take();
    expect(framesIn(sent).map(({ type }) => type)).toEqual([frameType.headers, frameType.continuation, frameType.continuation]);
    far.read(sent, 777);
    expect(far.requests[0]?.head?.rowCount).toBe(61);
  });
});

test('GOAWAY with the last stream is sent once nothing can be on its way', () => {
  const end = server({ drainNoticeMs: 1000 });
  end.read(headers(1));
  end.output.take();
  end.session.shutdown();
  const [warning, probe] = framesIn(end.output.take());
  expect(warning?.payload.readUInt32BE()).toBe(2 ** 31 - 1);
  end.read(headers(3));
  expect(end.requests).toHaveLength(2);
  end.read(frame(frameType.ping, frameFlag.ack, 0, probe?.payload));
  expect(framesIn(end.output.take())[0]?.payload.subarray(0, 8)).toEqual(uint32(3, 0));
  end.read(Buffer.concat([headers(5), headers(7, { end: false }), data(7, 'x')]));
  expect(end.requests).toHaveLength(2);
  expect(end.failure).toBeNull();
  expect(end.drained).toBe(1);
  const silent = server({ drainNoticeMs: 1000 });
  silent.session.shutdown();
  silent.advance(1000);
  expect(silent.drained).toBe(1);
});
