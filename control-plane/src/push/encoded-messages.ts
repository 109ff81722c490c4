import type { Version } from '@remora/core/version';
import { ControlMessage } from '@remora/proto/gen/remora/push/v1/push';

/**
 * Encoded ControlMessages that are the same for many streams: resource chunks (bounded by bytes, the ones used longest
 * ago go first) and whatever small message was encoded last under a key.
 */
export class EncodedMessages {
  readonly #chunks = new Map<string, Uint8Array>();
  readonly #small = new Map<string, Uint8Array>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** A ResourceChunk. */
  chunk(hash: string, bytes: Uint8Array): Uint8Array {
    const known = this.#chunks.get(hash);
    if (known) {
      this.#chunks.delete(hash);
      this.#chunks.set(hash, known);
      return known;
    }
    const encoded = encodeChunk(hash, bytes);
    this.#chunks.set(hash, encoded);
    this.#bytes += encoded.length;
    this.#evict();
    return encoded;
  }

  /** A small message, encoded once for all streams that ask under the same key. The last 1,024 keys are kept. */
  shared(key: string, make: () => ControlBody): Uint8Array {
    return this.#keep(key, () => encodeMessage(make()));
  }

  /** One Update of parts that are encoded already; encoded once for all streams that ask under the same key. */
  whole(key: string, parts: () => readonly Uint8Array[]): Uint8Array {
    return this.#keep(key, () => encodeUpdate(parts()));
  }

  #keep(key: string, make: () => Uint8Array): Uint8Array {
    const known = this.#small.get(key);
    if (known) return known;
    const encoded = make();
    if (this.#small.size >= smallMax) {
      const oldest = this.#small.keys().next();
      if (!oldest.done) this.#small.delete(oldest.value);
    }
    this.#small.set(key, encoded);
    return encoded;
  }

  #evict(): void {
    for (const [hash, encoded] of this.#chunks) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#chunks.delete(hash);
      this.#bytes -= encoded.length;
    }
  }
}

const smallMax = 1_024;
const updateTag = 0x52;

/** ControlMessage{update}: its fields have the numbers of the parts, so the parts follow each other as they are. */
function encodeUpdate(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const encoded = Buffer.allocUnsafe(1 + varintSize(length) + length);
  encoded[0] = updateTag;
  let at = putVarint(encoded, 1, length);
  for (const part of parts) {
    encoded.set(part, at);
    at += part.length;
  }
  return encoded;
}

const resourceTag = 0x12;
const hashTag = 0x0a;
const bytesTag = 0x12;
const hashBytes = 32;

/** ControlMessage{resource: {hash, bytes}}, by hand: thousands of them are made in one push, and all that is in them is there. */
function encodeChunk(hash: string, bytes: Uint8Array): Uint8Array {
  const inner = 2 + hashBytes + 1 + varintSize(bytes.length) + bytes.length;
  const encoded = Buffer.allocUnsafe(1 + varintSize(inner) + inner);
  encoded[0] = resourceTag;
  let at = putVarint(encoded, 1, inner);
  encoded[at++] = hashTag;
  encoded[at++] = hashBytes;
  at += encoded.write(hash, at, hashBytes, 'hex');
  encoded[at++] = bytesTag;
  encoded.set(bytes, putVarint(encoded, at, bytes.length));
  return encoded;
}

function varintSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

/** Answers where the next byte goes. */
function putVarint(into: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) into[at++] = (rest & 0x7f) | 0x80;
  into[at++] = rest;
  return at;
}

export type ControlBody = NonNullable<ControlMessage['body']>;

export function encodeMessage(body: ControlBody): Uint8Array {
  return ControlMessage.encode({ body }).finish();
}

export function wireVersion(version: Version): { epoch: bigint; index: bigint } {
  return { epoch: BigInt(version.epoch), index: BigInt(version.index) };
}

/** Numbers beyond 2^53 cannot come from us: they become 0.0, which matches nothing. */
export function fromWireVersion(version: { readonly epoch: bigint; readonly index: bigint } | undefined): Version {
  if (!version) return { epoch: 0, index: 0 };
  const epoch = Number(version.epoch);
  const index = Number(version.index);
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(index) ? { epoch, index } : { epoch: 0, index: 0 };
}

/** The largest 53-bit reading of a wire number. */
export function safeNumber(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}
