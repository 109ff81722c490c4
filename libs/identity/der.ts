/** As much of DER (ITU-T X.690) as certificates and requests are written with. Values of at most 65,535 bytes. */
export const der = {
  sequence: (...parts: readonly Uint8Array[]): Buffer => tagged(0x30, Buffer.concat(parts)),
  set: (...parts: readonly Uint8Array[]): Buffer => tagged(0x31, Buffer.concat(parts)),
  /** Of unsigned bytes, most significant first, without leading zeros. */
  integer: (bytes: Uint8Array): Buffer => tagged(0x02, (bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes),
  boolean: (value: boolean): Buffer => tagged(0x01, Buffer.of(value ? 0xff : 0)),
  oid,
  utf8: (text: string): Buffer => tagged(0x0c, Buffer.from(text, 'utf8')),
  octets: (bytes: Uint8Array): Buffer => tagged(0x04, bytes),
  bits: (bytes: Uint8Array, unused = 0): Buffer => tagged(0x03, Buffer.concat([Buffer.of(unused), bytes])),
  /** RFC 5280 section 4.1.2.5: two digits of the year until 2049, four from then on. */
  time(at: Date): Buffer {
    const text = `${at.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`;
    return at.getUTCFullYear() < 2050 ? tagged(0x17, Buffer.from(text.slice(2), 'latin1')) : tagged(0x18, Buffer.from(text, 'latin1'));
  },
  /** Context-specific: constructed where it holds other values. */
  context: (tag: number, content: Uint8Array, constructed: boolean): Buffer => tagged((constructed ? 0xa0 : 0x80) | tag, content),
} as const;

function tagged(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag), length(content.length), content]);
}

function length(size: number): Buffer {
  if (size < 0x80) return Buffer.of(size);
  if (size > 0xffff) throw new RangeError(`${size} bytes are more than is written here`);
  return size < 0x100 ? Buffer.of(0x81, size) : Buffer.of(0x82, size >> 8, size & 0xff);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}
