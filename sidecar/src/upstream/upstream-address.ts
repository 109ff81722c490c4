/** Where an instance is, and what is spoken there. A pool belongs to one address. */
export interface UpstreamAddress {
  readonly host: string;
  readonly port: number;
  readonly protocol: UpstreamProtocol;
}

/** `http2`: cleartext by prior knowledge (RFC 9113 section 3.3). `tcp`: a connection for each call, whose bytes nobody looks into. */
export type UpstreamProtocol = 'http1' | 'http2' | 'tcp';

/** What tells pools apart. */
export function addressKey({ host, port, protocol }: UpstreamAddress): string {
  return `${protocol}|${host}:${port}`;
}

/** What an endpoint advertises where its side speaks HTTP/2 without TLS to whoever begins with its preface. */
export const cleartextHttp2 = 'h2c';

/** HTTP/2 wherever the endpoint takes it. */
export function protocolOf(advertised: readonly string[]): UpstreamProtocol {
  return advertised.includes(cleartextHttp2) ? 'http2' : 'http1';
}
