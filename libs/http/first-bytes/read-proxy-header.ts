import { badHeader, moreBytes, type ProxyHeaderResult } from './proxy-header.ts';
import { readProxyHeader1 } from './read-proxy-header-1.ts';
import { proxySignature2, readProxyHeader2 } from './read-proxy-header-2.ts';

/**
 * Reads a PROXY protocol header of either version at the start of `bytes[0, length)`. Without one the connection is refused: a
 * listener that expects the header never guesses (the specification, section 2). Independent of how the bytes were cut.
 */
export function readProxyHeader(bytes: Uint8Array, length: number): ProxyHeaderResult {
  if (length === 0) return moreBytes;
  if (bytes[0] === proxySignature2[0]) return readProxyHeader2(bytes, length);
  if (bytes[0] === letterP) return readProxyHeader1(bytes, length);
  return badHeader('the connection does not begin with a PROXY protocol header');
}

const letterP = 0x50;
