/**
 * Resources on their way to the workers: all in a few shared buffers, since handing over 10^5 small objects costs seconds. Entries follow each
 * other as 32 bytes of hash, 4 bytes of length (little endian), and the bytes.
 */
export function packResources(resources: Iterable<readonly [hash: string, bytes: Uint8Array]>): SharedArrayBuffer[] {
  const packs: SharedArrayBuffer[] = [];
  let batch: (readonly [string, Uint8Array])[] = [];
  let size = 0;
  for (const entry of resources) {
    batch.push(entry);
    size += entryHeader + entry[1].length;
    if (size < packBytes) continue;
    packs.push(pack(batch, size));
    batch = [];
    size = 0;
  }
  if (batch.length > 0) packs.push(pack(batch, size));
  return packs;
}

/** The entries of one pack; their bytes stay in the shared memory. */
export function* unpackResources(memory: SharedArrayBuffer): Generator<readonly [hash: string, bytes: Uint8Array]> {
  const bytes = Buffer.from(memory);
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at + 32);
    yield [bytes.toString('hex', at, at + 32), bytes.subarray(at + entryHeader, at + entryHeader + length)];
    at += entryHeader + length;
  }
}

function pack(entries: readonly (readonly [string, Uint8Array])[], size: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(size);
  const bytes = Buffer.from(memory);
  let at = 0;
  for (const [hash, body] of entries) {
    bytes.write(hash, at, 'hex');
    bytes.writeUInt32LE(body.length, at + 32);
    bytes.set(body, at + entryHeader);
    at += entryHeader + body.length;
  }
  return memory;
}

const entryHeader = 36;
const packBytes = 1024 * 1024;
