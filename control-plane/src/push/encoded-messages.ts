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
    const encoded = encodeMessage({ $case: 'resource', value: { hash: Buffer.from(hash, 'hex'), bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) } });
    this.#chunks.set(hash, encoded);
    this.#bytes += encoded.length;
    this.#evict();
    return encoded;
  }

  /** A small message, encoded once for all streams that ask under the same key. The last 1,024 keys are kept. */
  shared(key: string, make: () => ControlBody): Uint8Array {
    const known = this.#small.get(key);
    if (known) return known;
    const encoded = encodeMessage(make());
    if (this.#small.size >= 1024) {
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
