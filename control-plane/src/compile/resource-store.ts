import { AgingMap } from '@remora/core/aging-map';
import { contentHash } from '@remora/core/hash';
import { Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { neededFormat } from '@remora/snapshot/field-formats';
import { MessageEncoder } from './message-encoder.ts';

/** An encoded resource with its address. */
export interface BuiltResource {
  /** SHA-256, hex. */
  readonly hash: string;
  readonly bytes: Uint8Array;
  /** The lowest format of snapshots that has all that it says. */
  readonly format: number;
}

/** Largest resource, encoded. */
export const resourceBytesMax = 256 * 1024;

const keptMax = 200_000;

/** Encodes resources; equal content answers the same bytes object, so that subjects and compilations share it. */
export class ResourceStore {
  /** For resources, and for what is encoded around them. */
  readonly encoder = new MessageEncoder();
  readonly #kept = new AgingMap<BuiltResource>(keptMax);

  build(body: Resource['body']): BuiltResource {
    const bytes = this.encoder.encode(Resource, { body });
    const hash = contentHash(bytes);
    const known = this.#kept.get(hash);
    if (known) return known;
    const made: BuiltResource = Object.freeze({ hash, bytes, format: neededFormat(body) });
    this.#kept.put(hash, made);
    return made;
  }

  /** A whole fleet was compiled: what the one before needed may go. */
  age(): void {
    this.#kept.age();
  }
}
