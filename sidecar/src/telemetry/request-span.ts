import { SpanKind, SpanStatusCode, type Attributes, type HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { ClientSpan, ServerSpan, SpanRecord } from '../records/span-record.ts';

/** A record as an OpenTelemetry span, by the semantic conventions for HTTP and RPC; what they have no name for is under `remora.`. */
export function requestSpan(record: SpanRecord, { resource, scope }: SpanOrigin): ReadableSpan {
  const { traceId, spanId, parentId, flags, startMs, durationMs } = record;
  const error = errorOf(record);
  return {
    name: nameOf(record),
    kind: record.kind === 'server' ? SpanKind.SERVER : SpanKind.CLIENT,
    spanContext: () => ({ traceId, spanId, traceFlags: flags }),
    ...(parentId !== '' && { parentSpanContext: { traceId, spanId: parentId, traceFlags: flags, isRemote: record.kind === 'server' } }),
    startTime: hrTime(startMs),
    endTime: hrTime(startMs + durationMs),
    duration: hrTime(durationMs),
    status: error === '' ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR },
    attributes: record.kind === 'server' ? serverAttributes(record, error) : clientAttributes(record, error),
    links: [], events: [], ended: true,
    resource, instrumentationScope: scope,
    droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0,
  };
}

export interface SpanOrigin {
  readonly resource: Resource;
  readonly scope: ReadableSpan['instrumentationScope'];
}

/** Milliseconds as seconds and nanoseconds. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.min(999_999_999, Math.round((ms - seconds * 1_000) * 1e6))];
}

/** Method and what was asked for, of which there are few: the route, or the service that is called. */
function nameOf(record: SpanRecord): string {
  const method = isConnection(record) ? 'TCP' : knownMethods.has(record.method) ? record.method : 'HTTP';
  const target = record.kind === 'server' && record.route !== '' ? record.route : record.destination;
  return target === '' ? method : `${method} ${target}`;
}

/** Value of `error.type`; '' where the span is no error. Answers of 400 and more are the client's error, not the server's. */
function errorOf({ kind, status, grpcStatus, reason }: SpanRecord): string {
  if (status >= 500 || (status >= 400 && kind === 'client')) return reason === '' ? String(status) : reason;
  if (status === 0 || (kind === 'client' && reason !== '')) return reason === '' ? '_OTHER' : reason;
  if (grpcStatus > 0 && (kind === 'client' || grpcServerErrors.has(grpcStatus))) return String(grpcStatus);
  return '';
}

/** A TCP connection: there is no request, and nothing of HTTP to tell. */
function isConnection({ protocol }: SpanRecord): boolean {
  return protocol === 'tcp' || protocol === 'tls';
}

function commonAttributes(record: SpanRecord, error: string): Attributes {
  const { method, status, protocol, grpcStatus, reason, destination, side } = record;
  const known = knownMethods.has(method);
  const ours = {
    ...(error !== '' && { 'error.type': error }),
    'remora.side': side,
    ...(destination !== '' && { 'remora.destination': destination }),
    ...(reason !== '' && { 'remora.reason': reason }),
  };
  if (isConnection(record)) return { 'network.transport': 'tcp', ...(protocol === 'tls' && { 'network.protocol.name': 'tls' }), ...ours };
  return {
    'http.request.method': known ? method : '_OTHER',
    ...(!known && method !== '' && { 'http.request.method_original': method }),
    ...(status !== 0 && { 'http.response.status_code': status }),
    'network.protocol.name': 'http', ...(protocol !== '' && { 'network.protocol.version': protocol }),
    ...(grpcStatus >= 0 && grpcAttributes(record)),
    ...ours,
  };
}

function grpcAttributes({ path, grpcStatus }: SpanRecord): Attributes {
  const slash = path.lastIndexOf('/');
  return { 'rpc.system': 'grpc', 'rpc.grpc.status_code': grpcStatus, ...(slash > 0 && { 'rpc.service': path.slice(1, slash), 'rpc.method': path.slice(slash + 1) }) };
}

function serverAttributes(record: ServerSpan, error: string): Attributes {
  const { scheme, authority, path, clientAddress, bytesIn, bytesOut, route, requestId, attempts, policyKind, policyField, policy, configVersion } = record;
  return {
    ...commonAttributes(record, error),
    ...(isConnection(record) ? { 'remora.received_bytes': bytesIn, 'remora.sent_bytes': bytesOut } : {
      'url.scheme': scheme, 'url.path': path, 'http.request.body.size': bytesIn, 'http.response.body.size': bytesOut,
    }),
    ...addressAttributes('server', authority),
    ...(clientAddress !== '' && { 'client.address': clientAddress }),
    ...(route !== '' && { 'remora.route': route }),
    ...(requestId !== '' && { 'remora.request_id': requestId }),
    'remora.attempts': attempts,
    ...(policyKind !== '' && { 'remora.kind': policyKind }),
    ...(policyField !== '' && { 'remora.field': policyField }),
    ...(policy !== '' && { 'remora.policy': policy }),
    ...(configVersion !== '' && { 'remora.config.version': configVersion }),
  };
}

function clientAttributes(record: ClientSpan, error: string): Attributes {
  const { scheme, authority, path, address, endpoint, attempt } = record;
  return {
    ...commonAttributes(record, error),
    ...(!isConnection(record) && { 'url.full': `${scheme}://${authority}${path}` }),
    ...addressAttributes('server', address),
    ...(endpoint !== '' && { 'remora.endpoint': endpoint }),
    ...(attempt > 1 && { 'http.request.resend_count': attempt - 1 }),
  };
}

/** `<name>.address` and `<name>.port` of `host:port`, `[::1]:port` or a bare host. */
function addressAttributes(name: string, text: string): Attributes {
  if (text === '') return {};
  const colon = text.lastIndexOf(':');
  const ported = colon > text.lastIndexOf(']') && colon === text.indexOf(':', text.lastIndexOf(']') + 1);
  const host = (ported ? text.slice(0, colon) : text).replace(/^\[(.*)\]$/, '$1');
  const port = ported ? Number(text.slice(colon + 1)) : NaN;
  return { [`${name}.address`]: host, ...(Number.isInteger(port) && { [`${name}.port`]: port }) };
}

/** Methods of RFC 9110 and RFC 5789; others would make names without end. */
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
/** UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const grpcServerErrors = new Set([2, 4, 12, 13, 14, 15]);
