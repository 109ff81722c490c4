import { describe, expect, test } from 'vitest';
import { errorCode } from './error-code.ts';
import { frameFlag, frameType } from './frame-type.ts';
import { buildRequestHead, buildResponseHead } from '../head-builder.ts';
import { data, frame, framesIn, headers, ping, prefaceBytes, reset, settings, settingsAck, uint32, windowUpdate } from './testdata/frame-bytes.ts';
import { blockOf } from './testdata/header-block-reader.ts';
import { SessionEnd, request, type RecordedStream } from './testdata/session-end.ts';

/** A server whose client has said hello. */
function server(): SessionEnd {
  const end = new SessionEnd('server').start();
  end.read(Buffer.concat([prefaceBytes, settings(), settingsAck]));
  end.output.take();
  return end;
}

const protocol = errorCode.protocolError;
const size = errorCode.frameSizeError;
const answer = (end: SessionEnd, nth: number): void => {
  (end.requests[nth] as RecordedStream).stream.sendHead(buildResponseHead({ status: 200 }), true);
};

describe('ends the connection (RFC 9113 sections 3 to 6)', () => {
  test.each<[what: string, bytes: readonly Buffer[], code: number, reason: string]>([
    ['DATA on stream 0', [data(0, 'x')], protocol, 'frame-stream'], ['DATA on an idle stream', [data(1, 'x')], protocol, 'stream-id'],
    ['DATA with more padding than frame', [headers(1, { end: false }), frame(0, frameFlag.padded, 1, Buffer.from([5, 1, 1]))], protocol, 'frame-padding'],
    ['DATA without room for its padding length', [headers(1, { end: false }), frame(0, frameFlag.padded, 1)], protocol, 'frame-padding'],
    ['HEADERS on stream 0', [headers(0)], protocol, 'frame-stream'], ['HEADERS on an even stream', [headers(2)], protocol, 'stream-id'], ['HEADERS that go back', [headers(5), headers(3)], protocol, 'stream-id'],
    ['HEADERS with more padding than frame', [frame(1, 0xc, 1, Buffer.from([9, 0x82]))], protocol, 'frame-padding'], ['HEADERS too short for their priority', [frame(1, 0x24, 1, Buffer.alloc(3))], size, 'frame-size'],
    ['HEADERS that depend on themselves', [frame(1, 0x25, 1, Buffer.concat([uint32(1), Buffer.from([0])]))], protocol, 'self-dependency'],
    ['CONTINUATION without HEADERS', [frame(9, 4, 1)], protocol, 'unexpected-frame'], ['CONTINUATION behind END_HEADERS', [headers(1), frame(9, 4, 1)], protocol, 'unexpected-frame'],
    ['a frame within a header block', [frame(1, 1, 1, Buffer.from([0x82])), ping], protocol, 'header-block-interrupted'], ['DATA within a header block', [frame(1, 0, 1, Buffer.from([0x82])), data(1, 'x')], protocol, 'header-block-interrupted'],
    ['CONTINUATION of another stream', [frame(1, 1, 1, Buffer.from([0x82])), frame(9, 4, 3)], protocol, 'header-block-interrupted'],
    ['PRIORITY on stream 0', [frame(2, 0, 0, Buffer.alloc(5))], protocol, 'frame-stream'], ['PRIORITY of another size', [frame(2, 0, 1, Buffer.alloc(4))], size, 'frame-size'],
    ['PRIORITY that depends on itself', [frame(2, 0, 3, Buffer.concat([uint32(3), Buffer.from([0])]))], protocol, 'self-dependency'],
    ['RST_STREAM on stream 0', [reset(0)], protocol, 'frame-stream'], ['RST_STREAM on an idle stream', [reset(1)], protocol, 'stream-id'], ['RST_STREAM of another size', [frame(3, 0, 1, Buffer.alloc(5))], size, 'frame-size'],
    ['SETTINGS on a stream', [frame(4, 0, 1)], protocol, 'frame-stream'], ['SETTINGS of another size', [frame(4, 0, 0, Buffer.alloc(5))], size, 'frame-size'], ['SETTINGS acknowledged with a payload', [frame(4, 1, 0, Buffer.alloc(6))], size, 'frame-size'],
    ['ENABLE_PUSH of 2', [settings([2, 2])], protocol, 'settings-value'], ['INITIAL_WINDOW_SIZE of 2^31', [settings([4, 2 ** 31])], errorCode.flowControlError, 'window-overflow'],
    ['MAX_FRAME_SIZE too small', [settings([5, 16_383])], protocol, 'settings-value'], ['MAX_FRAME_SIZE too large', [settings([5, 2 ** 24])], protocol, 'settings-value'],
    ['ENABLE_CONNECT_PROTOCOL of 2', [settings([8, 2])], protocol, 'settings-value'], ['ENABLE_CONNECT_PROTOCOL taken back', [settings([8, 1]), settings([8, 0])], protocol, 'settings-value'],
    ['a window that INITIAL_WINDOW_SIZE lifts too far', [headers(1, { end: false }), windowUpdate(1, 2 ** 30), settings([4, 2 ** 31 - 1])], errorCode.flowControlError, 'window-overflow'],
    ['PUSH_PROMISE', [frame(5, 4, 1, uint32(2))], protocol, 'push'], ['PING on a stream', [frame(6, 0, 1, Buffer.alloc(8))], protocol, 'frame-stream'], ['PING of another size', [frame(6, 0, 0, Buffer.alloc(6))], size, 'frame-size'],
    ['GOAWAY on a stream', [frame(7, 0, 1, Buffer.alloc(8))], protocol, 'frame-stream'], ['GOAWAY too short', [frame(7, 0, 0, Buffer.alloc(7))], size, 'frame-size'],
    ['WINDOW_UPDATE of 0 for the connection', [windowUpdate(0, 0)], protocol, 'window-increment'], ['WINDOW_UPDATE of another size', [frame(8, 0, 0, Buffer.alloc(3))], size, 'frame-size'],
    ['WINDOW_UPDATE on an idle stream', [windowUpdate(1, 1)], protocol, 'stream-id'], ['a connection window above 2^31 - 1', [windowUpdate(0, 2 ** 31 - 1)], errorCode.flowControlError, 'window-overflow'],
    ['a frame larger than allowed', [frame(0, 0, 1, Buffer.alloc(16_385))], size, 'frame-size'], ['a block that cannot be decoded', [headers(1, { block: Buffer.from([0x80]) })], errorCode.compressionError, 'compression'],
    ['DATA behind the client\'s own RST_STREAM', [headers(1, { end: false }), reset(1), data(1, 'x')], errorCode.streamClosed, 'stream-closed'],
    ['HEADERS behind the client\'s own RST_STREAM', [headers(1, { end: false }), reset(1), headers(1)], errorCode.streamClosed, 'stream-closed'],
  ])('%s', (_, bytes, code, reason) => {
    for (const pieceSize of [1, 65_536]) {
      const end = server();
      end.read(Buffer.concat(bytes), pieceSize);
      expect(end.failure).toEqual({ code, byPeer: false, reason });
      const last = framesIn(end.output.take()).at(-1);
      expect(last).toMatchObject({ type: frameType.goAway, streamId: 0 });
      expect(last?.payload.readUInt32BE(4)).toBe(code);
      for (const request of end.requests) expect(request.closed + (request.reset === null ? 0 : 1)).toBeGreaterThan(0);
      expect(end.session.openStreams).toBe(0);
    }
  });

  test('a preface that is none', () => {
    const end = new SessionEnd('server').start();
    end.read(Buffer.from('GET / HTTP/1.1\r\n'));
    expect(end.failure).toMatchObject({ reason: 'preface' });
  });

  test.each([['PING', ping], ['an acknowledgement', settingsAck], ['HEADERS', headers(1)], ['DATA', data(1, 'x')]])('%s before SETTINGS', (_, bytes) => {
    const end = new SessionEnd('server').start();
    end.read(Buffer.concat([prefaceBytes, bytes]));
    expect(end.failure).toMatchObject({ code: protocol, reason: 'preface' });
  });

  test('frames for a stream that both sides have ended', () => {
    for (const bytes of [data(1, 'x'), headers(1)]) {
      const end = server();
      end.read(headers(1));
      answer(end, 0);
      end.read(bytes);
      expect(end.failure).toMatchObject({ code: errorCode.streamClosed, reason: 'stream-closed' });
    }
  });
});

describe('ends the stream', () => {
  test.each<[what: string, bytes: readonly Buffer[], code: number, reason: string]>([
    ['DATA behind END_STREAM', [headers(1), data(1, 'x')], errorCode.streamClosed, 'stream-closed'], ['HEADERS behind END_STREAM', [headers(1), headers(1)], errorCode.streamClosed, 'stream-closed'],
    ['trailers without END_STREAM', [headers(1, { end: false }), headers(1, { end: false, block: blockOf([['x', '1']]) })], protocol, 'trailers'],
    ['trailers with a pseudo-header field', [headers(1, { end: false }), headers(1)], protocol, 'pseudo-header'],
    ['WINDOW_UPDATE of 0', [headers(1, { end: false }), windowUpdate(1, 0)], protocol, 'window-increment'], ['a window above 2^31 - 1', [headers(1, { end: false }), windowUpdate(1, 2 ** 31 - 1)], errorCode.flowControlError, 'window-overflow'],
    ['PRIORITY of another size', [headers(1, { end: false }), frame(2, 0, 1, Buffer.alloc(4))], size, 'frame-size'],
    ['more DATA than its content-length', [headers(1, { end: false, block: blockOf([[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', 'a'], ['content-length', '3']]) }), data(1, 'abcd')], protocol, 'body-length'],
    ['less DATA than its content-length', [headers(1, { end: false, block: blockOf([[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', 'a'], ['content-length', '3']]) }), data(1, 'ab', true)], protocol, 'body-length'],
  ])('%s', (_, bytes, code, reason) => {
    const end = server();
    end.read(Buffer.concat(bytes), 1);
    expect(end.failure).toBeNull();
    expect(end.requests[0]?.reset).toEqual({ code, by: 'local', unprocessed: false, reason });
    expect(end.requests[0]?.closed).toBe(1);
    expect(framesIn(end.output.take()).filter(({ type }) => type === frameType.reset)).toMatchObject([{ streamId: 1, payload: uint32(code) }]);
    // The connection goes on, and so do the tables.
    end.read(headers(3));
    expect(end.requests).toHaveLength(2);
  });

  test('more streams than announced are refused, and can be repeated', () => {
    const end = new SessionEnd('server', { streamsMax: 2 }).start();
    end.read(Buffer.concat([prefaceBytes, settings(), headers(1), headers(3), headers(5)]));
    expect(end.requests).toHaveLength(2);
    expect(framesIn(end.output.take()).at(-1)).toMatchObject({ type: frameType.reset, streamId: 5, payload: uint32(errorCode.refusedStream) });
    answer(end, 0);
    end.read(headers(7));
    expect(end.requests).toHaveLength(3);
  });

  test('DATA beyond the stream\'s window', () => {
    const end = new SessionEnd('server', { streamWindowBytes: 1000 }).start();
    end.read(Buffer.concat([prefaceBytes, settings(), settingsAck, headers(1, { end: false }), data(1, 'x'.repeat(1001))]));
    expect(end.requests[0]?.reset).toMatchObject({ code: errorCode.flowControlError, reason: 'flow-control' });
    expect(end.failure).toBeNull();
  });

  test('frames that were on their way when we reset a stream are dropped, and their bytes credited', () => {
    const end = server();
    end.read(headers(1, { end: false }));
    (end.requests[0] as RecordedStream).stream.reset(errorCode.cancel);
    end.output.take();
    for (let i = 0; i < 40; i++) end.read(data(1, 'x'.repeat(16_384)));
    end.read(Buffer.concat([headers(1, { block: blockOf([['x', '1']]) }), windowUpdate(1, 5), reset(1)]));
    expect(end.failure).toBeNull();
    expect(framesIn(end.output.take())).toMatchObject([{ type: frameType.windowUpdate, streamId: 0 }]);
  });
});

describe('is ignored', () => {
  test.each<[what: string, bytes: Buffer]>([
    ['an unknown frame', frame(0x42, 0xff, 7, Buffer.from('anything'))], ['PRIORITY_UPDATE', frame(0x10, 0, 0, Buffer.concat([uint32(1), Buffer.from('u=1')]))], ['PRIORITY of an idle stream', frame(2, 0, 9, Buffer.concat([uint32(1), Buffer.from([0])]))],
    ['an unknown setting', settings([0x99, 1])], ['unknown flags', frame(6, 0xfe, 0, Buffer.alloc(8))], ['the reserved bit', frame(8, 0, 2 ** 31, uint32(2 ** 31 + 5))],
    ['a PING\'s answer that nobody awaits', frame(6, 1, 0, Buffer.alloc(8))],
  ])('%s', (_, bytes) => {
    const end = server();
    end.read(bytes, 1);
    expect(end.failure).toBeNull();
    end.read(headers(1));
    expect(end.requests).toHaveLength(1);
  });
});

describe('a client', () => {
  function ask(end: SessionEnd): RecordedStream {
    const asked = request(end, buildRequestHead({ method: 'POST', authority: 'a', target: '/', bodyLength: -1 }), false);
    end.output.take();
    return asked;
  }

  function client(): { end: SessionEnd; asked: RecordedStream } {
    const end = new SessionEnd('client').start();
    end.read(Buffer.concat([settings([3, 10]), settingsAck]));
    end.output.take();
    return { end, asked: ask(end) };
  }

  test.each<[what: string, bytes: Buffer, reason: string]>([
    ['PUSH_PROMISE', frame(5, 4, 1, uint32(2)), 'push'], ['a stream of the server\'s', headers(2, { block: Buffer.from([0x88]) }), 'stream-id'], ['a response that nobody asked for', headers(9, { block: Buffer.from([0x88]) }), 'stream-id'],
    ['push that is switched on', settings([2, 1]), 'settings-value'], ['DATA that nobody asked for', data(9, 'x'), 'stream-id'],
  ])('ends the connection for %s', (_, bytes, reason) => {
    const { end, asked } = client();
    end.read(bytes);
    expect(end.failure).toMatchObject({ reason });
    expect(asked.reset).toMatchObject({ by: 'connection', unprocessed: false });
  });

  test.each<[what: string, bytes: Buffer, reason: string]>([
    ['DATA before the response', data(1, 'x'), 'unexpected-frame'], ['a malformed response', headers(1, { block: blockOf([[':status', '200'], ['connection', 'close']]) }), 'connection-field'],
    ['a flood of interim responses', Buffer.concat(Array.from({ length: 17 }, () => headers(1, { end: false, block: blockOf([[':status', '103']]) }))), 'interim-heads'],
  ])('ends the stream for %s', (_, bytes, reason) => {
    const { end, asked } = client();
    end.read(bytes);
    expect(end.failure).toBeNull();
    expect(asked.reset).toMatchObject({ by: 'local', reason });
  });

  test('keeps a complete response whose server wants no more of the request', () => {
    const { end, asked } = client();
    asked.takes = false;
    end.read(Buffer.concat([headers(1, { end: false, block: Buffer.from([0x88]) }), data(1, 'abc'), data(1, 'def', true), reset(1, 0)]));
    expect(asked).toMatchObject({ text: 'abc', reset: null, closed: 0 });
    asked.stream.resume();
    expect(asked).toMatchObject({ text: 'abcdef', ended: true, reset: null, closed: 1 });
  });

  test('learns which requests were not looked at', () => {
    const { end, asked } = client();
    const second = ask(end);
    end.read(frame(7, 0, 0, uint32(1, 0)));
    expect(second.reset).toMatchObject({ by: 'go-away', unprocessed: true });
    expect(asked.reset).toBeNull();
    expect(end.session.canOpen).toBe(false);
    end.read(reset(1, errorCode.refusedStream));
    expect(asked.reset).toMatchObject({ by: 'peer', unprocessed: true });
  });
});
