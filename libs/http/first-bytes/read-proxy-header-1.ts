import { parseIpAddress } from '@remora/core/ip-address';
import { badHeader, moreBytes, type ProxyHeaderResult } from './proxy-header.ts';

/** Version 1: one line of text, at most 107 bytes with its CRLF. */
export function readProxyHeader1(bytes: Uint8Array, length: number): ProxyHeaderResult {
  for (let i = 0; i < Math.min(length, start.length); i++) if (bytes[i] !== start[i]) return badHeader('the connection does not begin with a PROXY protocol header');
  const end = lineEnd(bytes, Math.min(length, lineBytesMax));
  if (end === -2) return badHeader('its line has a byte that is not allowed');
  if (end === -1) return length >= lineBytesMax ? badHeader('its line is longer than 107 bytes') : moreBytes;
  return readLine(Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('latin1'), end + 2);
}

/** Position of the CRLF; -1: not there yet, -2: a byte that no such line has. */
function lineEnd(bytes: Uint8Array, to: number): number {
  for (let i = 0; i < to; i++) {
    const byte = bytes[i] as number;
    if (byte === 13) return i + 1 === to ? -1 : bytes[i + 1] === 10 ? i : -2;
    if (byte < 0x20 || byte > 0x7e) return -2;
  }
  return -1;
}

function readLine(line: string, used: number): ProxyHeaderResult {
  // What follows UNKNOWN is to be ignored.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return headerOf(null, used);
  const [, family, source, destination, sourcePort, destinationPort, ...rest] = line.split(' ');
  if (rest.length > 0 || destinationPort === undefined) return badHeader('its line has not the six parts that it must have');
  if (family !== 'TCP4' && family !== 'TCP6') return badHeader('its protocol is not TCP4, TCP6 or UNKNOWN');
  const wanted = family === 'TCP4' ? 4 : 6;
  if (!isAddress(source, wanted)) return badHeader('its source address is not valid');
  if (!isAddress(destination, wanted)) return badHeader('its destination address is not valid');
  const ports = [portOf(sourcePort), portOf(destinationPort)] as const;
  if (ports[0] < 0 || ports[1] < 0) return badHeader('a port in it is not valid');
  return headerOf({ sourceAddress: source, sourcePort: ports[0], destinationAddress: destination, destinationPort: ports[1] }, used);
}

function headerOf(addresses: { sourceAddress: string; sourcePort: number; destinationAddress: string; destinationPort: number } | null, used: number): ProxyHeaderResult {
  return { kind: 'header', header: { version: 1, addresses, authority: '', uniqueId: noBytes }, used };
}

function isAddress(text: string | undefined, family: 4 | 6): text is string {
  if (text === undefined || text.includes(':') !== (family === 6) || text.includes('%')) return false;
  return parseIpAddress(text, words) !== 0;
}

/** -1: not a port. */
function portOf(text: string | undefined): number {
  if (text === undefined || text.length === 0 || text.length > 5 || (text.length > 1 && text.startsWith('0'))) return -1;
  let port = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    port = port * 10 + digit;
  }
  return port <= 65_535 ? port : -1;
}

const start = Buffer.from('PROXY ', 'latin1');
/** From the specification, section 2.1. */
const lineBytesMax = 107;
const noBytes = new Uint8Array(0);
const words = new Uint32Array(4);
