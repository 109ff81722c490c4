/**
 * Why Remora itself answered a request, or gave up on one. Reasons are data: the same code stands in the answer, the
 * access log, the metrics and `remora why`.
 */
export interface Reason {
  /** Stable, kebab case, unique over the product. */
  readonly code: string;
  /** HTTP status of the answer, 0 where the connection is closed without one. */
  readonly status: number;
  /** The response flag that Envoy would log. */
  readonly flag: string;
  /** Who caused it. */
  readonly origin: 'downstream' | 'upstream' | 'internal' | 'policy';
  /** Whether another attempt can be safe: never, always, or only where the connection had been used before. */
  readonly retry: 'never' | 'always' | 'if-reused';
  /** One sentence for the answer's `title`. Shows nothing of the inside. */
  readonly title: string;
}

function reason(code: string, status: number, flag: string, origin: Reason['origin'], retry: Reason['retry'], title: string): Reason {
  return Object.freeze({ code, status, flag, origin, retry, title });
}

/** Reasons of the data path. Policy kinds add theirs in their folder's `reasons.ts`; a test keeps the codes apart. */
export const reasons = {
  badRequest: reason('bad-request', 400, 'DPE', 'downstream', 'never', 'The request is not valid HTTP.'),
  plaintextOnTls: reason('plaintext-on-tls', 400, 'DPE', 'downstream', 'never', 'This port speaks HTTPS, the request came without TLS.'),
  connectionOutdated: reason('connection-outdated', 421, 'DPE', 'downstream', 'never', 'This connection was made under rules that have changed since: connect again.'),
  certificateOutdated: reason('certificate-outdated', 421, 'UAEX', 'downstream', 'never', 'The certificate that this connection was made with counts no more: connect again.'),
  badPath: reason('bad-path', 400, 'DPE', 'downstream', 'never', 'The path has a spelling that is not accepted.'),
  headersTooLarge: reason('headers-too-large', 431, 'DPE', 'downstream', 'never', 'The header section is larger than allowed.'),
  versionNotSupported: reason('http-version-not-supported', 505, 'DPE', 'downstream', 'never', 'The HTTP version is not supported.'),
  notImplemented: reason('method-not-implemented', 501, 'DPE', 'downstream', 'never', 'This method or protocol switch is not available here.'),
  connectRefused: reason('connect-refused', 403, 'DPE', 'downstream', 'never', 'CONNECT is not allowed here.'),
  connectPort: reason('connect-port', 403, 'DPE', 'downstream', 'never', 'CONNECT to this port is not allowed.'),
  expectationFailed: reason('expectation-failed', 417, 'DPE', 'downstream', 'never', 'The expectation cannot be met.'),
  requestTimeout: reason('request-timeout', 408, 'SI', 'downstream', 'never', 'The request did not arrive in time.'),
  downstreamReset: reason('downstream-reset', 0, 'DC', 'downstream', 'never', 'The client went away.'),
  noRoute: reason('no-route', 404, 'NR', 'internal', 'never', 'No route matches this request.'),
  unknownDestination: reason('unknown-destination', 502, 'NR', 'internal', 'never', 'The destination is not known in this mesh.'),
  noHealthyUpstream: reason('no-healthy-upstream', 503, 'UH', 'internal', 'never', 'No instance can take this request.'),
  noDestination: reason('no-destination', 503, 'UH', 'internal', 'never', 'None of the route\'s destinations has an instance.'),
  connectFailure: reason('connect-failure', 503, 'UF', 'upstream', 'always', 'The instance could not be connected.'),
  upstreamTlsFailed: reason('upstream-tls-failed', 503, 'UF', 'upstream', 'always', 'No secure connection to the instance could be agreed on.'),
  upstreamTlsUntrusted: reason('upstream-tls-untrusted', 503, 'UF', 'upstream', 'always', 'The certificate of the instance is not trusted.'),
  upstreamTlsName: reason('upstream-tls-name', 503, 'UF', 'upstream', 'always', 'The certificate of the instance is not for the service that was called.'),
  upstreamIdentity: reason('upstream-identity', 503, 'UF', 'upstream', 'always', 'The instance could not prove that it is of the service that was called.'),
  upstreamTlsConfiguration: reason('upstream-tls-configuration', 503, 'UF', 'internal', 'never', 'This gateway lacks what it needs for a secure connection to the instance.'),
  connectTimeout: reason('connect-timeout', 503, 'UF,URX', 'upstream', 'always', 'The instance did not accept the connection in time.'),
  upstreamReset: reason('upstream-reset', 502, 'UC', 'upstream', 'if-reused', 'The instance closed the connection before it answered.'),
  refusedStream: reason('refused-stream', 503, 'UR', 'upstream', 'always', 'The instance refused the request before looking at it.'),
  upstreamProtocol: reason('upstream-protocol-error', 502, 'UPE', 'upstream', 'never', 'The instance\'s answer is not valid HTTP.'),
  upstreamTimeout: reason('upstream-timeout', 504, 'UT', 'upstream', 'never', 'The instance did not answer in time.'),
  streamIdle: reason('stream-idle', 504, 'SI', 'upstream', 'never', 'The exchange was idle for too long.'),
  maxStream: reason('max-stream-duration', 504, 'UMSDR', 'upstream', 'never', 'The exchange lasted longer than allowed.'),
  tunnelSuperseded: reason('tunnel-superseded', 0, 'DT', 'internal', 'never', 'The configuration that the connection began on is too old.'),
  tunnelRevoked: reason('tunnel-revoked', 0, 'DT', 'policy', 'never', 'A policy does not allow the connection any more.'),
  tunnelBytes: reason('tunnel-bytes', 0, 'DT', 'policy', 'never', 'The connection has carried as many bytes as it may.'),
  overflow: reason('upstream-overflow', 503, 'UO', 'internal', 'never', 'Too many requests wait for this destination.'),
  overload: reason('overload', 503, 'OM', 'internal', 'never', 'This gateway is overloaded.'),
  draining: reason('draining', 503, 'DC', 'internal', 'never', 'This instance is about to stop.'),
  starting: reason('no-configuration', 503, 'NC', 'internal', 'never', 'No configuration has been received yet.'),
  filterFailed: reason('filter-failed', 500, 'FAULT', 'internal', 'never', 'A policy could not decide.'),
  loop: reason('loop-detected', 508, 'DPE', 'internal', 'never', 'The request goes round in circles.'),
} as const satisfies Record<string, Reason>;
