import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, boundedText, decodeMessage, oneWord, realNumber, wholeNumber, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { HealthCheck, type Http } from './gen/health-check.ts';

export { encodeGrpcCheck, readGrpcHealth } from './grpc-health.ts';

/** Milliseconds. */
export interface HealthCheckSettings {
  readonly intervalMs: number;
  /** Share of the interval by which each wait is longer or shorter. */
  readonly jitter: number;
  readonly timeoutMs: number;
  /** Failures in a row that make a host unhealthy, and successes that make it healthy again. */
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** '': as the port's protocol says. */
  readonly protocol: '' | 'http' | 'grpc' | 'tcp';
  /** Name of the port that is asked; '': each port itself. */
  readonly port: string;
  readonly http: HttpCheck;
  readonly grpcService: string;
}

export interface HttpCheck {
  readonly path: string;
  /** '': the service's name. */
  readonly host: string;
  readonly method: 'GET' | 'HEAD' | 'OPTIONS';
  readonly statuses: readonly { readonly from: number; readonly to: number }[];
  /** '': any body. */
  readonly bodyContains: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

export const healthCheckWire = { name: 'healthCheck', format: 1, decode: decodeHealthCheck } as const;

function decodeHealthCheck(bytes: Uint8Array): HealthCheckSettings {
  const message = decodeMessage(HealthCheck, bytes);
  if (message.http === undefined) throw new WireError('/http', 'missing-field', 'the HTTP check is missing');
  return Object.freeze({
    intervalMs: wholeNumber(message.intervalMs, '/interval', 100, 3_600_000),
    jitter: realNumber(message.jitter, '/jitter', 0, 1),
    timeoutMs: wholeNumber(message.timeoutMs, '/timeout', 10, 60_000),
    unhealthyThreshold: wholeNumber(message.unhealthyThreshold, '/unhealthyThreshold', 1, 100),
    healthyThreshold: wholeNumber(message.healthyThreshold, '/healthyThreshold', 1, 100),
    protocol: oneWord(message.protocol, '/protocol', ['', 'http', 'grpc', 'tcp'] as const),
    port: boundedText(message.port, '/port', 63),
    http: readHttp(message.http),
    grpcService: boundedText(message.grpcService, '/grpc/service', 256),
  });
}

function readHttp(message: Http): HttpCheck {
  return Object.freeze({
    path: boundedText(message.path, '/http/path', 1024, /^\/[\x21-\x7e]*$/),
    host: boundedText(message.host, '/http/host', 253, /^[\x21-\x7e]*$/),
    method: oneWord(message.method, '/http/method', ['GET', 'HEAD', 'OPTIONS'] as const),
    statuses: Object.freeze(boundedList(message.statuses, '/http/statuses', 16).map(({ from, to }) => ({
      from: wholeNumber(from, '/http/statuses', 100, 599), to: wholeNumber(to, '/http/statuses', 100, 599),
    }))),
    bodyContains: boundedText(message.bodyContains, '/http/bodyContains', 1024),
    headers: Object.freeze(boundedList(message.headers, '/http/headers', 16).map(({ name, value }) => ({
      name: wireHeaderName(name, '/http/headers'), value: wireHeaderValue(value, `/http/headers/${name}`),
    }))),
  });
}
