/** What a connection speaks, by its first bytes. `undecided`: more are needed; at most 24 are. */
export type FirstProtocol = 'undecided' | 'http1' | 'http2' | 'tls';

/**
 * Names the protocol of `bytes[0, length)`: the HTTP/2 preface (RFC 9113 section 3.4), a TLS handshake record, or HTTP/1.1, whose own
 * codec refuses what is none of them. Independent of how the bytes were cut.
 */
export function namedProtocol(bytes: Uint8Array, length: number): FirstProtocol {
  if (length === 0) return 'undecided';
  if (bytes[0] === handshakeRecord) return length < 2 ? 'undecided' : bytes[1] === 3 ? 'tls' : 'http1';
  const compared = Math.min(length, preface.length);
  for (let i = 0; i < compared; i++) if (bytes[i] !== preface[i]) return 'http1';
  return length < preface.length ? 'undecided' : 'http2';
}

const handshakeRecord = 22;
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
