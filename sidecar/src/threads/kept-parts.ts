import type { ResourceSource } from '@remora/snapshot/candidate';
import type { CachedPart, PartCache } from '@remora/snapshot/decode-cache';

/**
 * What a data thread keeps of the snapshots that are current or prepared: one map for each, by hash, of what was decoded; bytes only of pages,
 * and until they are decoded. When a snapshot is neither current nor prepared any more, what only it had goes with its map.
 */
export class KeptParts {
  readonly #snapshots = new Map<string, SnapshotParts>();
  #current = '';

  /** Beside the others; one of that hash that is there already is replaced. */
  keep(hash: string, parts: SnapshotParts): void {
    this.#snapshots.set(hash, parts);
  }

  /** What any of the snapshots has. */
  find(hash: string): KeptPart | undefined {
    for (const parts of this.#snapshots.values()) {
      const part = parts.part(hash);
      if (part !== undefined) return part;
    }
    return undefined;
  }

  swapped(hash: string): void {
    this.#current = hash;
    for (const other of this.#snapshots.keys()) if (other !== hash) this.#snapshots.delete(other);
  }

  /** A snapshot that will not be current. */
  forget(hash: string): void {
    if (hash !== this.#current) this.#snapshots.delete(hash);
  }
}

/** Bytes, or what was decoded from them. */
export type KeptPart = Uint8Array | CachedPart;

/** One snapshot: the resources that its decoding reads, and the cache that it fills, over the same map. */
export class SnapshotParts {
  readonly resources: ResourceSource;
  readonly decoded: PartCache;
  readonly #parts = new Map<string, KeptPart>();

  constructor() {
    const parts = this.#parts;
    this.resources = {
      get size() { return parts.size; },
      has: (hash) => parts.has(hash),
      keys: () => parts.keys(),
      get: (hash) => bytesOf(parts.get(hash)),
    };
    this.decoded = {
      get: (hash) => decodedOf(parts.get(hash)),
      // The bytes go: nobody asks for them again.
      put: (hash, { type, value }) => void parts.set(hash, { type, value }),
    };
  }

  add(hash: string, part: KeptPart): void {
    this.#parts.set(hash, part);
  }

  part(hash: string): KeptPart | undefined {
    return this.#parts.get(hash);
  }

  /** Pages stay as bytes: out of the memory that they came in, which holds much else. */
  settle(): void {
    for (const [hash, part] of this.#parts) {
      if (part instanceof Uint8Array && part.byteLength !== part.buffer.byteLength) this.#parts.set(hash, Uint8Array.from(part));
    }
  }
}

function bytesOf(part: KeptPart | undefined): Uint8Array | undefined {
  return part instanceof Uint8Array ? part : part && noBytes;
}

function decodedOf(part: KeptPart | undefined): CachedPart | undefined {
  return part instanceof Uint8Array ? undefined : part;
}

const noBytes = new Uint8Array(0);
