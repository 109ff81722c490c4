/**
 * A snapshot on its way to the workers: all in a few buffers, since handing over 10^5 small objects costs seconds. Entries follow each other as 32 bytes of
 * hash, 4 bytes of length (little endian), and the bytes; of what the worker has there is the hash alone. Short ones are copied with the
 * message, longer ones are shared by all workers.
 */
export type ResourcePack = ArrayBuffer | SharedArrayBuffer;

/** null: the receiver has it. */
export type PackedEntry = readonly [hash: string, bytes: Uint8Array | null];

/** One after the other, of about a megabyte each. */
export function* packResources(entries: Iterable<PackedEntry>): Generator<ResourcePack, void, void> {
  let batch: PackedEntry[] = [];
  let size = 0;
  for (const entry of entries) {
    batch.push(entry);
    size += entryHeader + (entry[1]?.length ?? 0);
    if (size < packBytes) continue;
    yield pack(batch, size);
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield pack(batch, size);
}

/** The entries of one pack; their bytes stay in its memory. */
export function* unpackResources(memory: ResourcePack): Generator<PackedEntry> {
  const bytes = Buffer.from(memory);
  for (let at = 0; at < bytes.length;) {
    const hash = bytes.toString('hex', at, at + 32);
    const length = bytes.readUInt32LE(at + 32);
    at += entryHeader;
    if (length === known) yield [hash, null];
    else yield [hash, bytes.subarray(at, at += length)];
  }
}

function pack(entries: readonly PackedEntry[], size: number): ResourcePack {
  const memory = size <= copiedBytesMax ? new ArrayBuffer(size) : new SharedArrayBuffer(size);
  const bytes = Buffer.from(memory);
  let at = 0;
  for (const [hash, body] of entries) {
    bytes.write(hash, at, 'hex');
    bytes.writeUInt32LE(body?.length ?? known, at + 32);
    at += entryHeader;
    if (body === null) continue;
    bytes.set(body, at);
    at += body.length;
  }
  return memory;
}

const entryHeader = 36;
/** A length that no resource has. */
const known = 0xffff_ffff;
const packBytes = 1024 * 1024;
/** Shared memory has pages of its own: making and mapping it costs more than copying this much. */
const copiedBytesMax = 65_536;
