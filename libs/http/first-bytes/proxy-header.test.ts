import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';
import { namedProtocol } from './first-protocol.ts';
import type { ProxyHeaderResult } from './proxy-header.ts';
import { readProxyHeader } from './read-proxy-header.ts';
import { proxySignature2 } from './read-proxy-header-2.ts';
import { writeProxyHeader } from './write-proxy-header.ts';

const line = (text: string): ProxyHeaderResult => readProxyHeader(Buffer.from(text, 'latin1'), text.length);

interface BinaryParts {
  readonly command?: number;
  readonly family?: number;
  readonly addresses?: Buffer;
  readonly tlvs?: Buffer;
  readonly length?: number;
}

function binary({ command = 0x21, family = 0x11, addresses = Buffer.from([192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 0x01, 0xbb]), tlvs = Buffer.alloc(0), length }: BinaryParts = {}): Buffer {
  const size = length ?? addresses.length + tlvs.length;
  return Buffer.concat([proxySignature2, Buffer.of(command, family, size >> 8, size & 0xff), addresses, tlvs]);
}

function tlv(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type, content.length >> 8, content.length & 0xff), content]);
}

const read = (bytes: Buffer): ProxyHeaderResult => readProxyHeader(bytes, bytes.length);
const v4 = { sourceAddress: '192.0.2.1', sourcePort: 8080, destinationAddress: '198.51.100.2', destinationPort: 443 };
const v6 = { sourceAddress: '2001:db8::1', sourcePort: 1, destinationAddress: '2001:db8::2', destinationPort: 65_535 };

describe('version 1', () => {
  test.each<[string, object]>([
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n', { kind: 'header', used: 44, header: { version: 1, addresses: v4 } }],
    ['PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\nGET /', { kind: 'header', used: 44, header: { addresses: v6 } }],
    ['PROXY UNKNOWN\r\n', { kind: 'header', used: 15, header: { addresses: null } }],
    ['PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n', { kind: 'header', header: { addresses: null } }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080 443', { kind: 'more' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r', { kind: 'more' }],
    ['PRO', { kind: 'more' }],
    ['', { kind: 'more' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\n', { kind: 'bad' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\rX', { kind: 'bad' }],
    ['PROXY TCP4 192.0.2.01 198.51.100.2 8080 443\r\n', { kind: 'bad' }],
    ['PROXY TCP4 2001:db8::1 198.51.100.2 8080 443\r\n', { kind: 'bad' }],
    ['PROXY TCP6 192.0.2.1 192.0.2.2 8080 443\r\n', { kind: 'bad' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 08080 443\r\n', { kind: 'bad' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n', { kind: 'bad' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n', { kind: 'bad' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080\r\n', { kind: 'bad' }],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080 443 x\r\n', { kind: 'bad' }],
    ['PROXY TCP4  192.0.2.1 198.51.100.2 8080 443\r\n', { kind: 'bad' }],
    ['PROXY UDP4 192.0.2.1 198.51.100.2 8080 443\r\n', { kind: 'bad' }],
    ['proxy TCP4 192.0.2.1 198.51.100.2 8080 443\r\n', { kind: 'bad' }],
    ['GET / HTTP/1.1\r\n', { kind: 'bad' }],
    ['PING', { kind: 'bad' }],
    [`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`, { kind: 'header' }],
    [`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, { kind: 'bad' }],
    [`PROXY UNKNOWN ${'x'.repeat(93)}`, { kind: 'bad' }],
  ])('%j', (text, expected) => {
    expect(line(text)).toMatchObject(expected);
  });
});

describe('version 2', () => {
  test.each<[string, Buffer, object]>([
    ['IPv4', binary(), { kind: 'header', used: 28, header: { version: 2, addresses: v4 } }],
    ['followed by data', Buffer.concat([binary(), Buffer.from('GET')]), { kind: 'header', used: 28 }],
    ['LOCAL', binary({ command: 0x20, family: 0, addresses: Buffer.alloc(0) }), { kind: 'header', used: 16, header: { addresses: null } }],
    ['LOCAL with addresses', binary({ command: 0x20 }), { kind: 'header', used: 28, header: { addresses: null } }],
    ['LOCAL of a unix socket', binary({ command: 0x20, family: 0x31, addresses: Buffer.alloc(216) }), { kind: 'header', header: { addresses: null } }],
    ['UNSPEC', binary({ family: 0, addresses: Buffer.alloc(0) }), { kind: 'header', header: { addresses: null } }],
    ['an authority', binary({ tlvs: tlv(2, Buffer.from('a.test')) }), { kind: 'header', header: { authority: 'a.test' } }],
    ['an id', binary({ tlvs: tlv(5, Buffer.from('id')) }), { kind: 'header', header: { uniqueId: new Uint8Array([105, 100]) } }],
    ['unknown TLVs', binary({ tlvs: Buffer.concat([tlv(0xee, Buffer.alloc(40)), tlv(0x20, Buffer.alloc(5))]) }), { kind: 'header' }],
    ['cut in the signature', binary().subarray(0, 7), { kind: 'more' }],
    ['cut in the addresses', binary().subarray(0, 20), { kind: 'more' }],
    ['another signature', Buffer.concat([proxySignature2.subarray(0, 11), Buffer.of(0)]), { kind: 'bad' }],
    ['version 3', binary({ command: 0x31 }), { kind: 'bad', problem: 'its version is not 2' }],
    ['command 2', binary({ command: 0x22 }), { kind: 'bad' }],
    ['a unix socket', binary({ family: 0x31, addresses: Buffer.alloc(216) }), { kind: 'bad', problem: 'unix addresses are not accepted' }],
    ['datagrams', binary({ family: 0x12 }), { kind: 'bad' }],
    ['addresses cut short', binary({ addresses: Buffer.alloc(11) }), { kind: 'bad', problem: 'its addresses are cut short' }],
    ['a TLV cut short', binary({ tlvs: Buffer.of(2, 0, 9, 1) }), { kind: 'bad', problem: 'a TLV in it is cut short' }],
    ['half a TLV head', binary({ tlvs: Buffer.of(2, 0) }), { kind: 'bad' }],
    ['a long id', binary({ tlvs: tlv(5, Buffer.alloc(129)) }), { kind: 'bad' }],
    ['a wrong checksum', binary({ tlvs: tlv(3, Buffer.alloc(4)) }), { kind: 'bad', problem: 'its checksum is wrong' }],
    ['half a checksum', binary({ tlvs: tlv(3, Buffer.alloc(2)) }), { kind: 'bad', problem: 'its checksum is not valid' }],
    ['too many bytes', binary({ length: 4081 }), { kind: 'bad' }],
    ['as many bytes as allowed', binary({ tlvs: tlv(0xee, Buffer.alloc(4096 - 16 - 12 - 3)) }), { kind: 'header', used: 4096 }],
  ])('%s', (_name, bytes, expected) => {
    expect(read(bytes)).toMatchObject(expected);
  });
});

test('CRC-32C of the known string', () => {
  const bytes = Buffer.from('123456789');
  expect(crc32c(bytes, 0, 9)).toBe(0xe3069283);
  expect(crc32c(bytes, 4, 9, crc32c(bytes, 0, 4))).toBe(0xe3069283);
});

const addresses = fc.record({
  sourceAddress: fc.oneof(fc.ipV4(), fc.constantFrom('2001:db8::1', '::1', 'fe80::1:2', '1:2:3:4:5:6:7:8')),
  destinationAddress: fc.oneof(fc.ipV4(), fc.constantFrom('2001:db8::2', '::')),
  sourcePort: fc.integer({ min: 0, max: 65_535 }),
  destinationPort: fc.integer({ min: 0, max: 65_535 }),
});

describe('properties', () => {
  test('what is written is read, behind its checksum', () => {
    fc.assert(fc.property(addresses, fc.constantFrom(1 as const, 2 as const), fc.constantFrom('', 'a.test'), (made, version, authority) => {
      const bytes = writeProxyHeader({ version, addresses: made, authority });
      const result = read(bytes);
      expect(result).toMatchObject({ kind: 'header', used: bytes.length, header: { version, authority: version === 2 ? authority : '' } });
      if (result.kind === 'header' && version === 2) expect(result.header.addresses).toEqual(made);
      // Without its type the checksum would be just another TLV.
      if (version === 2) for (const at of bytes.keys()) if (at >= 16 && (at < bytes.length - 7 || at > bytes.length - 5)) expect(read(flipped(bytes, at)).kind, `byte ${at}`).toBe('bad');
    }), { numRuns: 50 });
    expect(read(writeProxyHeader({ version: 2, addresses: null }))).toMatchObject({ kind: 'header', header: { addresses: null } });
    expect(read(writeProxyHeader({ version: 1, addresses: null }))).toMatchObject({ kind: 'header', header: { addresses: null } });
  });

  test('any bytes, any prefix: more, then one verdict that longer input does not change', () => {
    const input = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(addresses, fc.constantFrom(1 as const, 2 as const), fc.nat(80), fc.integer({ min: 0, max: 255 })).map(([made, version, at, value]) => {
        const bytes = Buffer.concat([writeProxyHeader({ version, addresses: made }), Buffer.from('tail')]);
        bytes[at % bytes.length] = value;
        return bytes;
      }),
    );
    fc.assert(fc.property(input, (bytes) => {
      const verdicts = Array.from({ length: bytes.length + 1 }, (_, length) => readProxyHeader(bytes, length));
      const from = verdicts.findIndex(({ kind }) => kind !== 'more');
      const decided = from < 0 ? [] : verdicts.slice(from);
      expect(decided).toEqual(decided.map(() => decided[0]));
    }), { numRuns: 1000 });
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 0x40;
  return copy;
}

describe('what a connection speaks', () => {
  test.each<[string, string]>([
    ['', 'undecided'], ['P', 'undecided'], ['PRI * HTTP/2.0', 'undecided'], ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r', 'undecided'], ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['PRI * HTTP/2.0\r\nhost: a\r\n\r\n', 'http1'], ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r', 'http1'],
    ['PRI * HTTP/1.1', 'http1'], ['POST / HTTP/1.1', 'http1'], ['G', 'http1'], ['\x16', 'undecided'], ['\x16\x03', 'tls'], ['\x16\x02', 'http1'], ['\x00', 'http1'],
  ])('%j: %s', (text, expected) => {
    expect(namedProtocol(Buffer.from(text, 'latin1'), text.length)).toBe(expected);
  });
});
