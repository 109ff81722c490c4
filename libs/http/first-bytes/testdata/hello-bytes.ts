/** Tests only: a ClientHello made of parts. */
export interface HelloParts {
  readonly serverName?: string | Buffer;
  readonly protocols?: readonly string[];
  readonly versions?: readonly number[];
  /** Extensions as they are, by type, behind the others. */
  readonly extensions?: readonly (readonly [number, Buffer])[];
  readonly sessionId?: Buffer;
  readonly ciphers?: Buffer;
  readonly compression?: Buffer;
  /** Without any, the block itself is left out. */
  readonly withoutExtensions?: boolean;
}

export function helloMessage(parts: HelloParts = {}): Buffer {
  const extensions: Buffer[] = [];
  if (parts.serverName !== undefined) {
    const name = Buffer.isBuffer(parts.serverName) ? parts.serverName : Buffer.from(parts.serverName, 'latin1');
    extensions.push(extension(0, block16(Buffer.concat([Buffer.of(0), block16(name)]))));
  }
  if (parts.protocols !== undefined) extensions.push(extension(16, block16(Buffer.concat(parts.protocols.map((name) => block8(Buffer.from(name, 'latin1')))))));
  if (parts.versions !== undefined) extensions.push(extension(43, block8(Buffer.concat(parts.versions.map(u16)))));
  for (const [type, content] of parts.extensions ?? []) extensions.push(extension(type, content));
  const body = Buffer.concat([
    u16(0x0303), Buffer.alloc(32, 1), block8(parts.sessionId ?? Buffer.alloc(32, 2)), block16(parts.ciphers ?? Buffer.from([0x13, 0x01, 0xc0, 0x2b])),
    block8(parts.compression ?? Buffer.of(0)), ...(parts.withoutExtensions === true ? [] : [block16(Buffer.concat(extensions))]),
  ]);
  return Buffer.concat([Buffer.of(1, body.length >> 16, (body.length >> 8) & 0xff, body.length & 0xff), body]);
}

/** The message in records of these payload sizes; the last one takes the rest. */
export function inRecords(message: Buffer, ...sizes: readonly number[]): Buffer {
  const records: Buffer[] = [];
  let at = 0;
  for (const size of [...sizes, message.length]) {
    const payload = message.subarray(at, at + size);
    if (payload.length === 0) break;
    records.push(Buffer.concat([Buffer.of(22, 3, 1), u16(payload.length), payload]));
    at += payload.length;
  }
  return Buffer.concat(records);
}

export function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([u16(type), block16(content)]);
}

export function block8(content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(content.length), content]);
}

export function block16(content: Buffer): Buffer {
  return Buffer.concat([u16(content.length), content]);
}

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}
