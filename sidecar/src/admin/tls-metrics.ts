import type { CertificateStatus } from '../tls/certificate-files.ts';

interface TlsSample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Kinds of events that have metrics of their own: they are no policies. */
export const edgeEventKinds: ReadonlySet<string> = new Set(['tls', 'proxyProtocol', 'http2', 'bodies', 'connections', 'upstream', 'upstreamTls', 'taps']);

/** Handshakes of clients: `full`, `resumed`, or why they failed. The data threads count `tls_full-TLSv1.3`, `tls_refused-timeout` … */
export function readHandshakes(events: ReadonlyMap<string, number>): TlsSample[] {
  return [...events].flatMap(([name, value]) => {
    const [, kind = '', detail = ''] = /^tls_(full|resumed|refused)-(.+)$/.exec(name) ?? [];
    if (kind === '') return [];
    return [{ value, labels: kind === 'refused' ? { outcome: detail, version: '' } : { outcome: kind, version: detail } }];
  });
}

export function readContexts(events: ReadonlyMap<string, number>): TlsSample[] {
  return ['built', 'failed'].map((outcome) => ({ value: events.get(`tls_context-${outcome}`) ?? 0, labels: { outcome } }));
}

export function readProxyHeaders(events: ReadonlyMap<string, number>): TlsSample[] {
  return [...events].flatMap(([name, value]) => (name.startsWith('proxyProtocol_') ? [{ value, labels: { outcome: name.slice('proxyProtocol_'.length) } }] : []));
}

/** The data threads count `http2_stream-body-length`, `http2_connection-resets` … */
export function readHttp2Errors(events: ReadonlyMap<string, number>): TlsSample[] {
  return [...events].flatMap(([name, value]) => {
    const [, of = '', reason = ''] = /^http2_(stream|connection)-(.+)$/.exec(name) ?? [];
    return of === '' ? [] : [{ value, labels: { of, reason } }];
  });
}

export function readExpiry(certificates: readonly CertificateStatus[]): TlsSample[] {
  return certificates.flatMap((one) => (one.facts === null ? [] : [{ value: Math.floor(one.facts.notAfterMs / 1000), labels: labelsOf(one) }]));
}

export function readProblems(certificates: readonly CertificateStatus[]): TlsSample[] {
  return certificates.map((one) => ({ value: Number(one.problem !== null), labels: labelsOf(one) }));
}

function labelsOf({ resource, pointer, file }: CertificateStatus): Readonly<Record<string, string>> {
  return { resource, field: pointer, file };
}
