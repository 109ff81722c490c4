import type { MemoryGrant, MemoryWish } from './shared-memories.ts';

/**
 * The control thread's side of memory that data threads share: one buffer for each id, whoever asks first, for as long as a thread uses
 * it. The system gives pages only where something is written, so a large table for few keys costs little.
 */
export class MemoryGrants {
  readonly #buffers = new Map<string, SharedArrayBuffer>();
  /** Where threads have rows of their own. */
  readonly #rows = new Map<string, NonNullable<MemoryWish['rows']>>();

  grant(wishes: readonly MemoryWish[]): MemoryGrant[] {
    return wishes.map(({ id, bytes, rows }) => {
      let buffer = this.#buffers.get(id) ?? null;
      if (buffer === null) {
        buffer = allocate(bytes);
        if (buffer !== null) this.#buffers.set(id, buffer);
        if (buffer !== null && rows !== undefined) this.#rows.set(id, rows);
      }
      return { id, buffer };
    });
  }

  /** Forgets what no thread uses any more. */
  keepOnly(used: ReadonlySet<string>): void {
    for (const id of this.#buffers.keys()) {
      if (used.has(id)) continue;
      this.#buffers.delete(id);
      this.#rows.delete(id);
    }
  }

  /** The thread is gone: what its rows say is under way is not. */
  clearRows(thread: number): void {
    for (const [id, { at, bytes }] of this.#rows) {
      const buffer = this.#buffers.get(id);
      if (buffer !== undefined && at + (thread + 1) * bytes <= buffer.byteLength) new Uint8Array(buffer, at + thread * bytes, bytes).fill(0);
    }
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
