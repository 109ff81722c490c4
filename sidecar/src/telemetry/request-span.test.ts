import { SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { describe, expect, test } from 'vitest';
import type { ClientSpan, ServerSpan } from '../records/span-record.ts';
import { hrTime, requestSpan } from './request-span.ts';

const origin = { resource: resourceFromAttributes({ 'service.name': 'orders' }), scope: { name: 'remora', version: '1' } };
const common = {
  traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), parentId: 'c'.repeat(16), flags: 1, side: 'gateway' as const, startMs: 1_700_000_000_123, durationMs: 4.5, status: 200,
  grpcStatus: -1, method: 'GET', scheme: 'https', authority: 'shop.example:8443', path: '/orders/7', protocol: '1.1', destination: 'orders', reason: '',
};
const server: ServerSpan = {
  ...common, kind: 'server', bytesIn: 3, bytesOut: 5, attempts: 1, route: 'orders-api', requestId: 'r-1', clientAddress: '10.0.0.9', policyKind: '', policyField: '', policy: '',
  configVersion: '5.41',
};
const client: ClientSpan = { ...common, kind: 'client', attempt: 1, address: '[::1]:8080', endpoint: 'orders-1' };

describe('a span by the semantic conventions', () => {
  test('of an exchange', () => {
    const span = requestSpan(server, origin);
    expect(span).toMatchObject({
      name: 'GET orders-api', kind: SpanKind.SERVER, status: { code: SpanStatusCode.UNSET }, startTime: [1_700_000_000, 123_000_000],
      parentSpanContext: { spanId: 'c'.repeat(16), isRemote: true },
    });
    expect(span.spanContext()).toEqual({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: TraceFlags.SAMPLED });
    expect(span.attributes).toEqual({
      'http.request.method': 'GET', 'http.response.status_code': 200, 'network.protocol.name': 'http', 'network.protocol.version': '1.1', 'url.scheme': 'https', 'url.path': '/orders/7',
      'server.address': 'shop.example', 'server.port': 8443, 'client.address': '10.0.0.9', 'http.request.body.size': 3, 'http.response.body.size': 5,
      'remora.side': 'gateway', 'remora.route': 'orders-api', 'remora.destination': 'orders', 'remora.request_id': 'r-1', 'remora.attempts': 1, 'remora.config.version': '5.41',
    });
  });

  test('of an attempt, the first and a further one', () => {
    const span = requestSpan(client, origin);
    expect(span).toMatchObject({ name: 'GET orders', kind: SpanKind.CLIENT, parentSpanContext: { isRemote: false } });
    expect(span.attributes).toMatchObject({ 'url.full': 'https://shop.example:8443/orders/7', 'server.address': '::1', 'server.port': 8080, 'remora.endpoint': 'orders-1' });
    expect(span.attributes['http.request.resend_count']).toBeUndefined();
    expect(requestSpan({ ...client, attempt: 3 }, origin).attributes['http.request.resend_count']).toBe(2);
  });

  test('of a TCP connection and an attempt to make it: nothing of HTTP', () => {
    const connection = { method: 'CONNECT', scheme: '', authority: 'db.example', path: '', protocol: 'tls', durationMs: 60_000 };
    const span = requestSpan({ ...server, ...connection, route: 'tcp/sql' }, origin);
    expect(span.name).toBe('TCP tcp/sql');
    expect(span.attributes).toEqual({
      'network.transport': 'tcp', 'network.protocol.name': 'tls', 'server.address': 'db.example', 'client.address': '10.0.0.9', 'remora.received_bytes': 3, 'remora.sent_bytes': 5,
      'remora.side': 'gateway', 'remora.route': 'tcp/sql', 'remora.destination': 'orders', 'remora.request_id': 'r-1', 'remora.attempts': 1, 'remora.config.version': '5.41',
    });
    const attempt = requestSpan({ ...client, ...connection, protocol: 'tcp', status: 0, reason: 'connect-failure' }, origin);
    expect(attempt).toMatchObject({ name: 'TCP orders', status: { code: SpanStatusCode.ERROR } });
    expect(attempt.attributes).toEqual({
      'network.transport': 'tcp', 'error.type': 'connect-failure', 'server.address': '::1', 'server.port': 8080, 'remora.endpoint': 'orders-1', 'remora.side': 'gateway',
      'remora.destination': 'orders', 'remora.reason': 'connect-failure',
    });
  });

  test('the first of a trace has no parent', () => {
    expect(requestSpan({ ...server, parentId: '' }, origin).parentSpanContext).toBeUndefined();
  });

  test('a method that nobody knows makes no name of its own', () => {
    const { name, attributes } = requestSpan({ ...server, method: 'BREW' }, origin);
    expect(name).toBe('HTTP orders-api');
    expect(attributes).toMatchObject({ 'http.request.method': '_OTHER', 'http.request.method_original': 'BREW' });
  });

  test.each<[string, ServerSpan | ClientSpan, string | undefined]>([
    ['refused by a policy, the client\'s error', { ...server, status: 429, reason: 'rate-limited', policyKind: 'rateLimit', policyField: '/limits/perIp', policy: 'public-api' }, undefined],
    ['failed here', { ...server, status: 503, reason: 'no-healthy-upstream' }, 'no-healthy-upstream'],
    ['failed there', { ...server, status: 502 }, '502'],
    ['broken off', { ...server, status: 0, reason: 'downstream-reset' }, 'downstream-reset'],
    ['broken off after its head', { ...client, reason: 'upstream-reset' }, 'upstream-reset'],
    ['answered 404 to its caller', { ...client, status: 404 }, '404'],
    ['answered 404', { ...server, status: 404 }, undefined],
    ['gRPC NOT_FOUND for its caller', { ...client, grpcStatus: 5 }, '5'],
    ['gRPC NOT_FOUND', { ...server, grpcStatus: 5 }, undefined],
    ['gRPC UNAVAILABLE', { ...server, grpcStatus: 14 }, '14'],
  ])('%s', (_what, record, errorType) => {
    const { status, attributes } = requestSpan(record, origin);
    expect(attributes['error.type']).toBe(errorType);
    expect(status.code).toBe(errorType === undefined ? SpanStatusCode.UNSET : SpanStatusCode.ERROR);
  });

  test('of a gRPC call names service and method', () => {
    expect(requestSpan({ ...client, path: '/shop.Orders/Get', grpcStatus: 0 }, origin).attributes)
      .toMatchObject({ 'rpc.system': 'grpc', 'rpc.service': 'shop.Orders', 'rpc.method': 'Get', 'rpc.grpc.status_code': 0 });
  });

  test('a refusal names what decided', () => {
    expect(requestSpan({ ...server, status: 429, reason: 'rate-limited', policyKind: 'rateLimit', policyField: '/limits/perIp', policy: 'public-api' }, origin).attributes)
      .toMatchObject({ 'remora.reason': 'rate-limited', 'remora.kind': 'rateLimit', 'remora.field': '/limits/perIp', 'remora.policy': 'public-api' });
  });

  test.each([[0, [0, 0]], [1_234.5, [1, 234_500_000]], [999.9999999, [0, 999_999_999]]])('%s ms', (ms, expected) => expect(hrTime(ms)).toEqual(expected));
});
