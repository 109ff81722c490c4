import { AgingMap } from '@remora/core/aging-map';

/**
 * Decoded parts by the hash of their resource, so that decoding the next snapshot costs only what changed. A cache belongs to one set of
 * kinds.
 */
export class DecodeCache extends AgingMap<CachedPart> implements PartCache {
  constructor(options: { readonly entriesMax: number } = { entriesMax: 200_000 }) {
    super(options.entriesMax);
  }
}

/** Where a decoding looks for what was decoded before, and leaves what is new. */
export interface PartCache {
  get(hash: string): CachedPart | undefined;
  put(hash: string, part: CachedPart): void;
}

export interface CachedPart {
  /** The bytes it was decoded from: the same object need not be hashed again. Absent where they are verified before. */
  readonly bytes?: Uint8Array;
  /** Type of the manifest entry. */
  readonly type: number;
  readonly value: object;
}
