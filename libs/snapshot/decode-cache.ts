/**
 * Decoded parts by the hash of their resource, so that decoding the next snapshot costs only what changed. What was not
 * used since the call of `age` before the last goes; `age` is called by itself when more than `entriesMax` parts are
 * held. A cache belongs to one set of kinds.
 */
export class DecodeCache implements PartCache {
  readonly #entriesMax: number;
  #recent = new Map<string, CachedPart>();
  #old = new Map<string, CachedPart>();

  constructor(options: { readonly entriesMax: number } = { entriesMax: 200_000 }) {
    this.#entriesMax = options.entriesMax;
  }

  get(hash: string): CachedPart | undefined {
    const recent = this.#recent.get(hash);
    if (recent) return recent;
    const old = this.#old.get(hash);
    if (old) this.put(hash, old);
    return old;
  }

  put(hash: string, part: CachedPart): void {
    if (this.#recent.size >= this.#entriesMax) this.age();
    this.#recent.set(hash, part);
  }

  /** Starts a new generation. */
  age(): void {
    this.#old = this.#recent;
    this.#recent = new Map();
  }

  get size(): number {
    return this.#recent.size + this.#old.size;
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
