/**
 * How connectconformance speaks to the programs that it starts: Protobuf messages behind a length of four bytes, big endian. Only the few
 * fields that a proxy in between must change are touched: the last value of a field counts, so a change is appended.
 */
export function takeMessages(input: Buffer): { readonly messages: readonly Buffer[]; readonly rest: Buffer } {
  const messages: Buffer[] = [];
  let at = 0;
  while (input.length - at >= 4) {
    const length = input.readUInt32BE(at);
    if (input.length - at - 4 < length) break;
    messages.push(input.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return { messages, rest: input.subarray(at) };
}

export function delimit(message: Uint8Array): Buffer {
  const out = Buffer.alloc(4 + message.length);
  out.writeUInt32BE(message.length, 0);
  out.set(message, 4);
  return out;
}

/** The message with this number in the field. */
export function withNumber(message: Uint8Array, field: number, value: number): Buffer {
  return Buffer.concat([message, varint(field << 3), varint(value)]);
}

/** The message with this text or these bytes in the field. */
export function withBytes(message: Uint8Array, field: number, value: Uint8Array): Buffer {
  return Buffer.concat([message, varint((field << 3) | 2), varint(value.length), value]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}
