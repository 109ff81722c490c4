import { reasons, type Reason } from '@remora/errors/reason';
import { buildRequestHead, buildResponseHead } from '@remora/http/head-builder';
import { headerId } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import type { Answer } from '@remora/policy-kit/exchange';
import { describe, expect, it } from 'vitest';
import { answerFor } from './answers.ts';
import { grpcAnswerType, grpcEnding, grpcStatusIn, putGrpcStatus } from './grpc-answer.ts';

const request = (type: string): MessageHead => buildRequestHead({ method: 'POST', authority: 'a', target: '/a.B/C', headers: type === '' ? {} : { 'content-type': type } });
const response = (headers: Record<string, string>, bodyLength = -1): MessageHead => buildResponseHead({ status: 200, headers, bodyLength });
const grpc = { 'content-type': 'application/grpc+proto' };
const status = (head: MessageHead): string => head.valueAt(headerId('grpc-status'), 0);
const message = (head: MessageHead): string => head.valueAt(headerId('grpc-message'), 0);
const refusal = (reason: Reason, detail = ''): Answer => answerFor(reason, detail);

describe('the content type of an answer', () => {
  it.each([
    ['application/grpc', 'application/grpc'], ['application/grpc+json', 'application/grpc'], ['application/grpc; x=y', 'application/grpc'],
    ['application/grpc-web', 'application/grpc-web'], ['application/grpc-web+proto', 'application/grpc-web+proto'], ['application/grpc-web-text', 'application/grpc-web-text'],
    [`application/grpc-web${'x'.repeat(200)}`, ''], ['application/json', ''], ['application/connect+proto', ''], ['', ''],
  ])('to %s is %j', (asked, type) => {
    expect(grpcAnswerType(request(asked))).toBe(type);
  });
});

describe('a refusal', () => {
  it.each<[Reason, number]>([
    [reasons.noRoute, 12], [reasons.noHealthyUpstream, 14], [reasons.upstreamTimeout, 4], [reasons.headersTooLarge, 8], [reasons.filterFailed, 13], [reasons.refusedStream, 14],
  ])('for $code is a status, with its reason as the message', (reason, code) => {
    const head = new MessageHead();
    putGrpcStatus(head, refusal(reason), 'application/grpc', false);
    expect([head.status, status(head), message(head)]).toEqual([200, String(code), reason.title]);
  });

  it('tells its detail to trusted callers only, encoded and bounded', () => {
    const head = new MessageHead();
    putGrpcStatus(head, refusal(reasons.noRoute, 'über 50%\r\n'), 'application/grpc', true);
    expect(message(head)).toBe(`${reasons.noRoute.title}: %C3%BCber 50%25%0D%0A`);
    const long = new MessageHead();
    putGrpcStatus(long, refusal(reasons.noRoute, 'x'.repeat(100_000)), 'application/grpc', true);
    expect(message(long).length).toBeLessThan(1200);
    const stranger = new MessageHead();
    putGrpcStatus(stranger, refusal(reasons.noRoute, 'inside'), 'application/grpc', false);
    expect(message(stranger)).not.toContain('inside');
  });
});

describe('a response that has begun', () => {
  it('ends with the status in trailers', () => {
    const trailers = grpcEnding(request('application/grpc'), response(grpc), refusal(reasons.streamIdle), false);
    expect(trailers === null ? '' : status(trailers)).toBe('4');
  });

  it.each<[string, MessageHead, MessageHead | null]>([
    ['has a length', request('application/grpc'), response(grpc, 100)],
    ['is not gRPC', request('application/grpc'), response({ 'content-type': 'text/html' })],
    ['is gRPC-Web, whose trailers are in the body', request('application/grpc-web'), response({ 'content-type': 'application/grpc-web' })],
    ['has not begun', request('application/grpc'), null],
  ])('is broken off where it %s', (_, asked, head) => {
    expect(grpcEnding(asked, head, refusal(reasons.streamIdle), false)).toBeNull();
  });

  it('is broken off for a client that would take the end of the connection for the whole', () => {
    const old = request('application/grpc');
    old.minorVersion = 0;
    expect(grpcEnding(old, response(grpc), refusal(reasons.streamIdle), false)).toBeNull();
  });
});

it.each<[Record<string, string>, number]>([
  [{ ...grpc, 'grpc-status': '5' }, 5], [{ ...grpc, 'grpc-status': 'x' }, 2], [grpc, -1], [{ 'content-type': 'application/grpc-web+proto', 'grpc-status': '7' }, 7],
  [{ 'content-type': 'application/json', 'grpc-status': '14' }, -1], [{ 'grpc-status': '14' }, -1],
])('%j says %i', (headers, code) => {
  expect(grpcStatusIn(response(headers), response(headers))).toBe(code);
});
