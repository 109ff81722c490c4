import type { MemoryGrant, MemoryWish } from './shared-memories.ts';

/**
 * The control thread's side of memory that data threads share: one buffer for each id, whoever asks first, for as long as a thread uses
 * it. The system gives pages only where something is written, so a large table for few keys costs little.
 */
export class MemoryGrants {
  readonly #buffers = new Map<string, SharedArrayBuffer>();

  grant(wishes: readonly MemoryWish[]): MemoryGrant[] {
    return wishes.map(({ id, bytes }) => {
      let buffer = this.#buffers.get(id) ?? null;
      if (buffer === null) {
        buffer = allocate(bytes);
        if (buffer !== null) this.#buffers.set(id, buffer);
      }
      return { id, buffer };
    });
  }

  /** Forgets what no thread uses any more. */
  keepOnly(used: ReadonlySet<string>): void {
    for (const id of this.#buffers.keys()) if (!used.has(id)) this.#buffers.delete(id);
  }

  get size(): number {
    return this.#buffers.size;
  }
}

function allocate(bytes: number): SharedArrayBuffer | null {
  try {
    return new SharedArrayBuffer(bytes);
  } catch {
    // Out of address space: the snapshot that wants it is refused, and says so.
    return null;
  }
}
