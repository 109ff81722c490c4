import { parseIpAddress } from '@remora/core/ip-address';
import { ipText } from '@remora/core/ip-text';
import { crc32c } from './crc32c.ts';
import type { ProxyAddresses } from './proxy-header.ts';
import { proxySignature2 } from './read-proxy-header-2.ts';

export interface ProxyHeaderOptions {
  readonly version: 1 | 2;
  /** null: a connection of our own (UNKNOWN, LOCAL). */
  readonly addresses: ProxyAddresses | null;
  /** Version 2: what the client asked for by SNI; '' leaves it out. At most 255 characters. */
  readonly authority?: string;
}

/** Makes the header that goes first on a connection to an upstream that wants it; version 2 carries a checksum. */
export function writeProxyHeader(options: ProxyHeaderOptions): Buffer {
  return options.version === 1 ? Buffer.from(lineFor(options.addresses), 'latin1') : binaryFor(options.addresses, options.authority ?? '');
}

function lineFor(addresses: ProxyAddresses | null): string {
  const family = addresses === null ? 0 : familyOf(addresses);
  if (addresses === null || family === 0) return 'PROXY UNKNOWN\r\n';
  const { sourceAddress, sourcePort, destinationAddress, destinationPort } = addresses;
  // As short as it can be said: the line may have 107 bytes.
  const text = (address: string): string => {
    const short = ipText(addressBytes(address, family), 0, family === 4 ? 4 : 16);
    return family === 6 && !short.includes(':') ? `::ffff:${short}` : short;
  };
  return `PROXY TCP${family} ${text(sourceAddress)} ${text(destinationAddress)} ${sourcePort} ${destinationPort}\r\n`;
}

function binaryFor(addresses: ProxyAddresses | null, authority: string): Buffer {
  const family = addresses === null ? 0 : familyOf(addresses);
  const block = addresses === null || family === 0 ? Buffer.alloc(0) : addressBlock(addresses, family);
  const name = Buffer.from(authority.slice(0, 255), 'utf8');
  const named = name.length > 0 ? Buffer.concat([Buffer.from([0x02, name.length >> 8, name.length & 0xff]), name]) : name;
  const rest = Buffer.concat([block, named, Buffer.from([0x03, 0x00, 0x04, 0, 0, 0, 0])]);
  const head = Buffer.from([...proxySignature2, family === 0 ? 0x20 : 0x21, family === 0 ? 0x00 : family === 4 ? 0x11 : 0x21, rest.length >> 8, rest.length & 0xff]);
  const header = Buffer.concat([head, rest]);
  header.writeUInt32BE(crc32c(header, 0, header.length), header.length - 4);
  return header;
}

/** 6 where one of them is; 0 where one is no address. */
function familyOf({ sourceAddress, destinationAddress }: ProxyAddresses): 0 | 4 | 6 {
  const source = parseIpAddress(sourceAddress, words);
  const destination = parseIpAddress(destinationAddress, words);
  if (source === 0 || destination === 0) return 0;
  return source === 4 && destination === 4 ? 4 : 6;
}

function addressBlock({ sourceAddress, sourcePort, destinationAddress, destinationPort }: ProxyAddresses, family: 4 | 6): Buffer {
  const ports = Buffer.from([sourcePort >> 8, sourcePort & 0xff, destinationPort >> 8, destinationPort & 0xff]);
  return Buffer.concat([addressBytes(sourceAddress, family), addressBytes(destinationAddress, family), ports]);
}

function addressBytes(text: string, family: 4 | 6): Buffer {
  const own = parseIpAddress(text, words);
  const bytes = Buffer.alloc(16);
  for (let i = 0; i < 4; i++) bytes.writeUInt32BE(words[i] as number, 4 * i);
  if (family === 4) return bytes.subarray(12);
  if (own === 4) bytes.writeUInt16BE(0xffff, 10);
  return bytes;
}

const words = new Uint32Array(4);
