import type { Version } from '@remora/core/version';
import { ControlMessage } from '@remora/proto/gen/remora/push/v1/push';
import { MessageEncoder } from '../compile/message-encoder.ts';

/** Everything of one Update. */
export interface WholeUpdate {
  /** Encoded ControlMessages. */
  readonly begin: Uint8Array;
  readonly commit: Uint8Array;
  /** Hashes of the resources between them, and where their bytes are. */
  readonly hashes: readonly string[];
  readonly resources: ReadonlyMap<string, Uint8Array>;
}

/**
 * Encoded ControlMessages that are the same for many streams. Sidecars of one subject are served one after the other, so
 * little has to be kept: what was encoded longest ago goes first, beyond a number of bytes.
 */
export class EncodedMessages {
  readonly #chunks: KeptMessages;
  readonly #updates = new KeptMessages(updateBytesMax);
  readonly #small = new KeptMessages(smallBytesMax);

  /** `bytesMax` bounds the chunks of large updates. */
  constructor(bytesMax: number) {
    this.#chunks = new KeptMessages(bytesMax);
  }

  /** A ResourceChunk of its own. */
  chunk(hash: string, bytes: Uint8Array): Uint8Array {
    return this.#chunks.get(hash) ?? this.#chunks.keep(hash, encodeChunk(hash, bytes));
  }

  /** A small message, encoded once for all streams that ask under the same key. */
  shared(key: string, make: () => ControlBody): Uint8Array {
    return this.#small.get(key) ?? this.#small.keep(key, encodeMessage(make()));
  }

  /** One Update, encoded once for all streams that ask under the same key. */
  whole(key: string, make: () => WholeUpdate): Uint8Array {
    return this.#updates.get(key) ?? this.#updates.keep(key, encodeUpdate(make()));
  }
}

const updateBytesMax = 2 * 1024 * 1024;
const smallBytesMax = 256 * 1024;
/** What an entry costs besides its bytes: key, object, place in the map. */
const entryBytes = 512;

/**
 * Messages by key, the newest ones up to a number of bytes: two generations of half of it each. One by one they would leave holes at the front of a
 * map, over which every search for the oldest has to go.
 */
class KeptMessages {
  readonly #bytesMax: number;
  #young = new Map<string, Uint8Array>();
  #old = new Map<string, Uint8Array>();
  /** Of the young ones. */
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): Uint8Array | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  keep(key: string, message: Uint8Array): Uint8Array {
    if (this.#bytes > this.#bytesMax / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#bytes = 0;
    }
    this.#young.set(key, message);
    this.#bytes += message.length + entryBytes;
    return message;
  }
}

const updateTag = 0x52;
const resourceTag = 0x12;
const hashTag = 0x0a;
const bytesTag = 0x12;
const hashBytes = 32;

/** ControlMessage{update}: its fields have the numbers of the parts, so the parts follow each other as they are. */
function encodeUpdate({ begin, commit, hashes, resources }: WholeUpdate): Uint8Array {
  let length = begin.length + commit.length;
  for (const hash of hashes) length += chunkSize(resources.get(hash) ?? noBytes);
  // It is kept: a part of Node's shared pool would hold all 64 KiB of it.
  const encoded = Buffer.allocUnsafeSlow(1 + varintSize(length) + length);
  encoded[0] = updateTag;
  let at = putVarint(encoded, 1, length);
  encoded.set(begin, at);
  at += begin.length;
  for (const hash of hashes) at = putChunk(encoded, at, hash, resources.get(hash) ?? noBytes);
  encoded.set(commit, at);
  return encoded;
}

function encodeChunk(hash: string, bytes: Uint8Array): Uint8Array {
  const encoded = Buffer.allocUnsafeSlow(chunkSize(bytes));
  putChunk(encoded, 0, hash, bytes);
  return encoded;
}

const noBytes = new Uint8Array();

function innerSize(bytes: Uint8Array): number {
  return 2 + hashBytes + 1 + varintSize(bytes.length) + bytes.length;
}

function chunkSize(bytes: Uint8Array): number {
  const inner = innerSize(bytes);
  return 1 + varintSize(inner) + inner;
}

/** ControlMessage{resource: {hash, bytes}}, by hand: thousands of them are made in one push. Answers where the next byte goes. */
function putChunk(into: Buffer, from: number, hash: string, bytes: Uint8Array): number {
  into[from] = resourceTag;
  let at = putVarint(into, from + 1, innerSize(bytes));
  into[at++] = hashTag;
  into[at++] = hashBytes;
  at += into.write(hash, at, hashBytes, 'hex');
  into[at++] = bytesTag;
  at = putVarint(into, at, bytes.length);
  into.set(bytes, at);
  return at + bytes.length;
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

const encoder = new MessageEncoder();

export function encodeMessage(body: ControlBody): Uint8Array {
  return encoder.encode(ControlMessage, { body });
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
