import { describe, expect, test } from 'vitest';
import { buildRequestHead } from '../head-builder.ts';
import { MessageHead } from '../message-head.ts';
import { exchange, request, sessionPair, type RecordedStream, type SessionEnd } from './testdata/session-end.ts';

function answer(): MessageHead {
  const head = new MessageHead();
  head.status = 200;
  head.bodyLength = -1;
  return head;
}

/** A client with one stream that holds its response back; `whole`: all of it has come. */
function answered(whole: boolean): { readonly client: SessionEnd; readonly stream: RecordedStream } {
  const { client, server } = sessionPair();
  const stream = request(client, buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: {} }));
  stream.takes = false;
  exchange(client, server);
  const { stream: served } = server.requests[0] as RecordedStream;
  served.sendHead(answer(), false);
  served.sendData(Buffer.from('first'), 0, 5, false);
  exchange(client, server);
  served.sendData(Buffer.from('second'), 0, 6, whole);
  exchange(client, server);
  expect(stream.text).toBe('first');
  return { client, stream };
}

describe('a peer that closes', () => {
  test('behind a whole response does not take it from a consumer that is slow', () => {
    const { client, stream } = answered(true);
    client.session.peerClosed();
    expect([stream.reset, stream.closed, client.session.openStreams]).toEqual([null, 0, 1]);
    stream.takes = true;
    stream.stream.resume();
    expect([stream.text, stream.ended, stream.reset, stream.closed, client.session.openStreams]).toEqual(['firstsecond', true, null, 1, 0]);
  });

  test('before the end of a response breaks it off', () => {
    const { client, stream } = answered(false);
    client.session.peerClosed();
    expect([stream.reset?.reason, stream.closed, client.session.openStreams]).toEqual(['peer-closed', 1, 0]);
  });

  test('leaves to its consumer to give up', () => {
    const { client, stream } = answered(true);
    client.session.peerClosed();
    stream.stream.reset(8);
    expect([stream.closed, client.session.openStreams]).toEqual([1, 0]);
    expect(client.session.counters.heldBytes).toBe(0);
  });
});
