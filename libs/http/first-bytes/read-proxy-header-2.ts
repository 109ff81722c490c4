import { ipText } from '@remora/core/ip-text';
import { crc32c } from './crc32c.ts';
import { badHeader, moreBytes, proxyHeaderBytesMax, type ProxyAddresses, type ProxyHeaderResult } from './proxy-header.ts';

/** Version 2: a binary header of 16 bytes, addresses, TLVs. */
export function readProxyHeader2(bytes: Uint8Array, length: number): ProxyHeaderResult {
  for (let i = 0; i < Math.min(length, 12); i++) if (bytes[i] !== proxySignature2[i]) return badHeader('the connection does not begin with a PROXY protocol header');
  if (length > 12 && (bytes[12] as number) >> 4 !== 2) return badHeader('its version is not 2');
  if (length > 12 && ((bytes[12] as number) & 0xf) > 1) return badHeader('its command is neither LOCAL nor PROXY');
  if (length < headBytes) return moreBytes;
  const end = headBytes + u16(bytes, 14);
  if (end > proxyHeaderBytesMax) return badHeader(`it has ${end} bytes, at most ${proxyHeaderBytesMax} are accepted`);
  if (length < end) return moreBytes;
  const local = ((bytes[12] as number) & 0xf) === 0;
  const family = bytes[13] as number;
  const addressBytes = addressSizes.get(family);
  if (addressBytes === undefined && !local) return badHeader(family >> 4 === 3 ? 'unix addresses are not accepted' : `the address family ${family} is not accepted`);
  const tlvsAt = headBytes + (addressBytes ?? 0);
  // What a LOCAL header says beyond its length is to be ignored, whatever it is.
  if (local) return { kind: 'header', header: { version: 2, addresses: null, authority: '', uniqueId: noBytes }, used: end };
  if (tlvsAt > end) return badHeader('its addresses are cut short');
  const tlvs = readTlvs(bytes, tlvsAt, end);
  if (typeof tlvs === 'string') return badHeader(tlvs);
  return { kind: 'header', header: { version: 2, addresses: addressesOf(bytes, family), ...tlvs }, used: end };
}

function addressesOf(bytes: Uint8Array, family: number): ProxyAddresses | null {
  if (family === unspecified) return null;
  const size = family === tcp4 ? 4 : 16;
  const portsAt = headBytes + 2 * size;
  return {
    sourceAddress: ipText(bytes, headBytes, size),
    sourcePort: u16(bytes, portsAt),
    destinationAddress: ipText(bytes, headBytes + size, size),
    destinationPort: u16(bytes, portsAt + 2),
  };
}

interface Tlvs {
  authority: string;
  uniqueId: Uint8Array;
}

function readTlvs(bytes: Uint8Array, from: number, end: number): Tlvs | string {
  const tlvs: Tlvs = { authority: '', uniqueId: noBytes };
  let checked = false;
  for (let at = from; at < end;) {
    if (at + 3 > end) return 'a TLV in it is cut short';
    const type = bytes[at] as number;
    const start = at + 3;
    const to = start + u16(bytes, at + 1);
    if (to > end) return 'a TLV in it is cut short';
    if (type === checksumType) {
      if (checked || to - start !== 4) return 'its checksum is not valid';
      if (u32(bytes, start) !== checksumOf(bytes, start, end)) return 'its checksum is wrong';
      checked = true;
    } else if (type === authorityType) tlvs.authority = Buffer.from(bytes.subarray(start, to)).toString('utf8');
    else if (type === uniqueIdType) {
      if (to - start > 128) return 'its unique id is longer than 128 bytes';
      tlvs.uniqueId = new Uint8Array(bytes.subarray(start, to));
    }
    at = to;
  }
  return tlvs;
}

/** Over the whole header, with the checksum's own bytes as zeros. */
function checksumOf(bytes: Uint8Array, at: number, end: number): number {
  const before = crc32c(bytes, 0, at);
  return crc32c(bytes, at + 4, end, crc32c(fourZeros, 0, 4, before));
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function u32(bytes: Uint8Array, at: number): number {
  return ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0;
}

export const proxySignature2 = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const headBytes = 16;
const unspecified = 0x00;
const tcp4 = 0x11;
const tcp6 = 0x21;
/** Bytes of the addresses; datagrams and unix sockets are not what a TCP listener is told about. */
const addressSizes: ReadonlyMap<number, number> = new Map([[unspecified, 0], [tcp4, 12], [tcp6, 36]]);
const authorityType = 0x02;
const checksumType = 0x03;
const uniqueIdType = 0x05;
const fourZeros = new Uint8Array(4);
const noBytes = new Uint8Array(0);
