/** Tests only: just enough DER (ITU-T X.690) to write certificates. */
export const der = {
  sequence: (...parts: readonly Uint8Array[]): Buffer => tagged(0x30, Buffer.concat(parts)),
  set: (...parts: readonly Uint8Array[]): Buffer => tagged(0x31, Buffer.concat(parts)),
  integer: (bytes: Uint8Array): Buffer => tagged(0x02, (bytes[0] as number) & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes),
  boolean: (value: boolean): Buffer => tagged(0x01, Buffer.of(value ? 0xff : 0)),
  oid,
  utf8: (text: string): Buffer => tagged(0x0c, Buffer.from(text, 'utf8')),
  octets: (bytes: Uint8Array): Buffer => tagged(0x04, bytes),
  bits: (bytes: Uint8Array, unused = 0): Buffer => tagged(0x03, Buffer.concat([Buffer.of(unused), bytes])),
  time: (at: Date): Buffer => tagged(0x18, Buffer.from(`${at.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`, 'latin1')),
  /** Context-specific: constructed where it holds other values. */
  context: (tag: number, content: Uint8Array, constructed: boolean): Buffer => tagged((constructed ? 0xa0 : 0x80) | tag, content),
} as const;

function tagged(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag), length(content.length), content]);
}

function length(size: number): Buffer {
  if (size < 0x80) return Buffer.of(size);
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
