import { contentHash } from '@remora/core/hash';
import { Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

/** An encoded resource with its address. */
export interface BuiltResource {
  /** SHA-256, hex. */
  readonly hash: string;
  readonly hashBytes: Buffer;
  readonly bytes: Uint8Array;
}

/** Largest resource, encoded. */
export const resourceBytesMax = 256 * 1024;

/** Resources kept for sharing; emptied when full, which costs memory and never correctness. */
const keptMax = 300_000;

/** Encodes resources; equal content answers the same bytes object, so that subjects and compilations share it. */
export class ResourceStore {
  readonly #kept = new Map<string, BuiltResource>();

  build(body: Resource['body']): BuiltResource {
    const bytes = Resource.encode({ body }).finish();
    const hash = contentHash(bytes);
    const known = this.#kept.get(hash);
    if (known) return known;
    if (this.#kept.size >= keptMax) this.#kept.clear();
    const made: BuiltResource = Object.freeze({ hash, hashBytes: Buffer.from(hash, 'hex'), bytes });
    this.#kept.set(hash, made);
    return made;
  }
}
