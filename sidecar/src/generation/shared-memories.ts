import type { SharedMemory } from '@remora/policy-kit/runtime-kind';

/** What a data thread asks the control thread for. */
export interface MemoryWish {
  readonly id: string;
  readonly bytes: number;
  /** Where rows of the threads begin, one each; absent: there are none. */
  readonly rows?: { readonly at: number; readonly bytes: number };
}

/** The answer to a wish: the same memory for every thread. Null: there is none left. */
export interface MemoryGrant {
  readonly id: string;
  readonly buffer: SharedArrayBuffer | null;
}

/**
 * Memory that a data thread shares with the others, as its filters see it. Filters ask while they are built; what they asked for is
 * fetched in one message before the snapshot counts as prepared, so that no request ever waits for the control thread.
 */
export class SharedMemories {
  readonly #ask: (wishes: readonly MemoryWish[]) => void;
  #wanted = new Map<string, PendingMemory>();
  /** Asked for, and not granted yet. */
  readonly #asked = new Map<string, PendingMemory>();
  #waiting: PromiseWithResolvers<void> | null = null;

  constructor(ask: (wishes: readonly MemoryWish[]) => void) {
    this.#ask = ask;
  }

  /** Answers at once; the memory is there when `granted` has resolved. `rows`: of the threads, at its end. */
  want(id: string, bytes: number, rows?: MemoryWish['rows']): SharedMemory {
    const memory = new PendingMemory(bytes, rows);
    this.#wanted.set(id, memory);
    return memory;
  }

  /** Resolves when everything wanted so far is there; rejects where there was no memory left. */
  async granted(): Promise<void> {
    if (this.#wanted.size > 0) {
      const wishes = [...this.#wanted].map(([id, { bytes, rows }]) => ({ id, bytes, ...(rows && { rows }) }));
      for (const [id, memory] of this.#wanted) this.#asked.set(id, memory);
      this.#wanted = new Map();
      this.#ask(wishes);
    }
    if (this.#asked.size === 0) return;
    this.#waiting ??= Promise.withResolvers<void>();
    await this.#waiting.promise;
  }

  grant(grants: readonly MemoryGrant[]): void {
    const missing: number[] = [];
    for (const { id, buffer } of grants) {
      const memory = this.#asked.get(id);
      this.#asked.delete(id);
      if (memory === undefined) continue;
      if (buffer === null) missing.push(memory.bytes);
      else memory.filled = buffer;
    }
    if (this.#asked.size > 0) return;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (missing.length > 0) waiting?.reject(new Error(`no memory for ${missing.length} tables of ${Math.max(...missing)} bytes and less`));
    else waiting?.resolve();
  }
}

class PendingMemory implements SharedMemory {
  readonly bytes: number;
  readonly rows: MemoryWish['rows'];
  filled: SharedArrayBuffer | null = null;

  constructor(bytes: number, rows: MemoryWish['rows']) {
    this.bytes = bytes;
    this.rows = rows;
  }

  get buffer(): SharedArrayBuffer {
    if (this.filled === null) throw new Error('invariant: shared memory is used before it was granted');
    return this.filled;
  }
}
