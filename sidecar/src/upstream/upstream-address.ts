import type { UpstreamWay } from '../tls/upstream-way.ts';
import type { PoolSettings } from './pool-settings.ts';

/** Where an instance is, and what is spoken there. A pool belongs to one address. */
export interface UpstreamAddress {
  readonly host: string;
  readonly port: number;
  readonly protocol: UpstreamProtocol;
  /** Absent: without TLS. */
  readonly tls?: UpstreamWay;
  /** Connections begin with a PROXY protocol header of this version; absent: without one. */
  readonly proxyProtocol?: 1 | 2;
  /** The header of one client: connections are for its calls alone. Absent: those of all. */
  readonly header?: Buffer;
  /** Named by an app, and by no document: its addresses are looked at before they are connected. */
  readonly outside?: true;
  /** Absent: connections are kept as usual. */
  readonly pool?: PoolSettings;
}

/** `http2`: cleartext by prior knowledge (RFC 9113 section 3.3). `negotiated`: HTTP/1.1 or HTTP/2 as ALPN chooses. `tcp`: a connection for each call, whose bytes nobody looks into. */
export type UpstreamProtocol = 'http1' | 'http2' | 'negotiated' | 'tcp';

/** Of the keys of addresses that an app named. */
export const outsidePrefix = 'outside|';

/** What tells pools apart. */
export function addressKey({ host, port, protocol, tls, proxyProtocol, outside, pool }: UpstreamAddress): string {
  return `${outside === true ? outsidePrefix : ''}${protocol}|${host}:${port}${proxyProtocol === undefined ? '' : `|proxy v${proxyProtocol}`}${tls === undefined ? '' : `|${tls.key}`}${pool === undefined ? '' : `|${pool.key}`}`;
}

/** What an endpoint advertises where its side speaks HTTP/2 without TLS to whoever begins with its preface. */
export const cleartextHttp2 = 'h2c';

/** What is spoken behind TLS: what ALPN may choose from, else what the endpoint advertises. */
export function secureProtocolOf({ alpn }: UpstreamWay, advertised: readonly string[]): UpstreamProtocol {
  const [first, second] = alpn;
  if (first === undefined) return protocolOf(advertised);
  if (second !== undefined) return 'negotiated';
  return first === 'h2' ? 'http2' : 'http1';
}

/** HTTP/2 wherever the endpoint takes it. */
export function protocolOf(advertised: readonly string[]): UpstreamProtocol {
  return advertised.includes(cleartextHttp2) ? 'http2' : 'http1';
}
