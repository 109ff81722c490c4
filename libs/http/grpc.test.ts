import { describe, expect, test } from 'vitest';
import { isGrpcContentType } from './grpc-content-type.ts';
import { encodeGrpcMessage, grpcStatusName, grpcStatusOfHttp, httpStatusOfGrpc, parseGrpcStatus } from './grpc-status.ts';
import { formatGrpcTimeout, parseGrpcTimeoutMs } from './grpc-timeout.ts';

describe('grpc-timeout', () => {
  test.each([['1H', 3_600_000], ['2M', 120_000], ['10S', 10_000], ['250m', 250], ['500u', 0.5], ['99999999n', 99.999_999], ['0m', 0]])('%s is %s ms', (text, ms) => {
    expect(parseGrpcTimeoutMs(text)).toBeCloseTo(ms, 6);
  });

  test.each(['', 'm', '5', 'S5', '5s', '-1S', '1.5S', ' 1S', '123456789S'])('%j is none', (text) => {
    expect(parseGrpcTimeoutMs(text)).toBeNull();
  });

  test.each([[0, '1m'], [-5, '1m'], [0.2, '1m'], [219.4, '219m'], [219.999_999_99, '220m'], [220.000_000_01, '220m'], [99_999_999, '99999999m'], [1e8, '100000S'], [1e12, '277777H'], [1e30, '99999999H']])('%s ms is told as %s', (ms, text) => {
    expect(formatGrpcTimeout(ms)).toBe(text);
  });
});

describe('content types', () => {
  test.each([
    ['application/grpc', true], ['application/grpc+proto', true], ['application/grpc;charset=utf-8', true], ['application/grpc+json; a=b', true],
    ['application/grpc-web', false], ['application/grpc-web+proto', false], ['application/grpc-web-text', false], ['application/connect+proto', false],
    ['application/proto', false], ['application/json', false], ['', false],
  ])('%s is gRPC: %s', (type, is) => {
    expect(isGrpcContentType(type)).toBe(is);
  });
});

describe('codes', () => {
  test.each([
    [400, 'INTERNAL'], [401, 'UNAUTHENTICATED'], [403, 'PERMISSION_DENIED'], [404, 'UNIMPLEMENTED'], [408, 'DEADLINE_EXCEEDED'], [413, 'RESOURCE_EXHAUSTED'],
    [415, 'UNIMPLEMENTED'], [418, 'UNKNOWN'], [429, 'UNAVAILABLE'], [431, 'RESOURCE_EXHAUSTED'], [499, 'CANCELLED'], [500, 'INTERNAL'], [501, 'UNIMPLEMENTED'],
    [502, 'UNAVAILABLE'], [503, 'UNAVAILABLE'], [504, 'DEADLINE_EXCEEDED'], [508, 'INTERNAL'],
  ])('a refusal with %i is %s', (status, name) => {
    expect(grpcStatusName(grpcStatusOfHttp(status))).toBe(name);
  });

  test.each([
    [0, 200], [1, 499], [2, 500], [3, 400], [4, 504], [5, 404], [6, 409], [7, 403], [8, 429], [9, 400], [10, 409], [11, 400], [12, 501], [13, 500], [14, 503], [15, 500], [16, 401],
    [17, 500], [999, 500],
  ])('code %i counts as %i', (code, status) => {
    expect(httpStatusOfGrpc(code)).toBe(status);
  });

  test.each([['0', 0], ['14', 14], ['014', 14], ['', 2], ['x', 2], ['-1', 2], ['1e1', 2], ['1000', 2]])('grpc-status: %j is %i', (text, code) => {
    expect(parseGrpcStatus(text)).toBe(code);
  });
});

test.each([['plain text', 'plain text'], ['100%', '100%25'], ['grün\n', 'gr%C3%BCn%0A'], ['\u0000', '%00']])('grpc-message %j is %s', (text, encoded) => {
  expect(encodeGrpcMessage(text)).toBe(encoded);
});
