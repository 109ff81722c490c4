import { expect, test } from 'vitest';
import { buildRequestHead, buildResponseHead } from '../head-builder.ts';
import type { MessageHead } from '../message-head.ts';
import { errorCode } from './error-code.ts';
import { data, headers, prefaceBytes, settings } from './testdata/frame-bytes.ts';
import { SessionEnd, exchange, request, sessionPair, type RecordedStream } from './testdata/session-end.ts';

const get = (): MessageHead => buildRequestHead({ method: 'GET', authority: 'orders', target: '/a?b=c', headers: [['x-one', '1'], ['cookie', 'a=b; c=d']] });
const post = (bodyLength = -1): MessageHead => buildRequestHead({ method: 'POST', authority: 'orders', target: '/', bodyLength });
const ok = (bodyLength = -1): MessageHead => buildResponseHead({ status: 200, bodyLength, headers: { 'content-type': 'text/plain' } });

function fieldsOf(head: MessageHead | null): string[] {
  const fields: string[] = [];
  head?.forEach((name, value) => fields.push(`${name}: ${value}`));
  return fields;
}

function send(stream: RecordedStream, text: string, end: boolean): boolean {
  const bytes = Buffer.from(text, 'latin1');
  return stream.stream.sendData(bytes, 0, bytes.length, end);
}

test.each([1, 2, 7, 65_536])('a request, its response, their bodies and trailers arrive whole, in pieces of %i', (pieceSize) => {
  const { client, server } = sessionPair();
  const asked = request(client, post(5), false);
  send(asked, 'hello', true);
  exchange(client, server, pieceSize);
  const [received] = server.requests as [RecordedStream];
  expect(received.head).toMatchObject({ method: 'POST', path: '/', authority: 'orders', bodyLength: 5, scheme: 'http' });
  expect(received.text).toBe('');
  received.stream.resume();
  expect(received).toMatchObject({ text: 'hello', ended: true });
  received.stream.sendHead(ok(), false);
  send(received, 'world', false);
  received.stream.sendTrailers(buildResponseHead({ status: 0, headers: { 'grpc-status': '0' } }));
  exchange(client, server, pieceSize);
  expect(asked.head).toMatchObject({ status: 200, bodyLength: -1 });
  expect(asked).toMatchObject({ text: 'world', ended: true, closed: 1, reset: null });
  expect(fieldsOf(asked.trailers)).toEqual(['grpc-status: 0']);
  expect(received.closed).toBe(1);
  expect([client.session.openStreams, server.session.openStreams]).toEqual([0, 0]);
});

test('heads arrive with every field, the authority as host and cookies in one line', () => {
  const { client, server } = sessionPair();
  for (let i = 0; i < 4; i++) request(client, get());
  exchange(client, server);
  expect(server.requests).toHaveLength(4);
  for (const { head, ended } of server.requests) {
    expect(fieldsOf(head)).toEqual(['host: orders', 'x-one: 1', 'cookie: a=b; c=d']);
    expect(head).toMatchObject({ target: '/a?b=c', query: 'b=c', pathPlain: true, bodyLength: 0 });
    expect(ended).toBe(true);
  }
});

test('a body larger than the windows waits for credit, and the consumer decides when there is some', () => {
  const { client, server } = sessionPair({ streamWindowBytes: 100_000, connectionWindowBytes: 150_000 });
  const asked = request(client, post(), false);
  const body = 'x'.repeat(400_000);
  expect(send(asked, body, true)).toBe(false);
  exchange(client, server);
  const [received] = server.requests as [RecordedStream];
  expect(received.text).toBe('');
  expect(server.session.counters.heldBytes).toBe(100_000);
  received.takes = false;
  received.stream.resume();
  exchange(client, server);
  expect(received.text.length).toBeLessThan(100_000);
  received.takes = true;
  for (let i = 0; i < 100 && !received.ended; i++) {
    received.stream.resume();
    exchange(client, server);
  }
  expect(received.text).toBe(body);
  expect(server.session.counters.heldBytes).toBe(0);
  expect(client.session.counters.queuedBytes).toBe(0);
});

test('a reset reaches the other side with its code', () => {
  const { client, server } = sessionPair();
  const asked = request(client, post(), false);
  exchange(client, server);
  const [received] = server.requests as [RecordedStream];
  asked.stream.reset(errorCode.cancel);
  exchange(client, server);
  expect(received.reset).toMatchObject({ code: errorCode.cancel, by: 'peer' });
  expect(received.closed).toBe(1);
  expect(asked).toMatchObject({ reset: null, closed: 1 });
});

test('shutdown lets streams in flight finish and refuses nobody silently', () => {
  const { client, server } = sessionPair();
  const asked = request(client, get());
  exchange(client, server);
  server.session.shutdown();
  exchange(client, server);
  expect(client.goAways).toEqual([[2 ** 31 - 1, 0], [1, 0]]);
  expect(client.session.canOpen).toBe(false);
  expect(server.drained).toBe(1);
  (server.requests[0] as RecordedStream).stream.sendHead(ok(0), true);
  exchange(client, server);
  expect(asked).toMatchObject({ ended: true, closed: 1 });
});

test('a frame for a stream that was reset counts once, in however many pieces it comes', () => {
  const end = new SessionEnd('server', { controlFrames: { burst: 20, perSecond: 0 } }).start();
  end.read(Buffer.concat([prefaceBytes, settings(), headers(1, { end: false })]));
  (end.requests[0] as RecordedStream).stream.reset(errorCode.cancel);
  end.read(data(1, Buffer.alloc(2000)), 1);
  expect(end.failure).toBeNull();
  for (let i = 0; i < 20; i++) end.read(data(1, 'x'));
  expect(end.failure?.reason).toBe('control-frames');
});
