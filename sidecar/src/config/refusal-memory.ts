import type { SnapshotError } from '@remora/snapshot/snapshot-error';

/** Refused as invalid, for this build. */
export interface RememberedRefusal {
  readonly hash: string;
  /** Empty after a restart: only the hash is kept on disk. */
  readonly errors: readonly SnapshotError[];
}

export const refusalsRemembered = 64;

/** Manifest hashes this build cannot enforce; the oldest goes at the bound. */
export class RefusalMemory {
  readonly #refused = new Map<string, RememberedRefusal>();

  constructor(hashes: Iterable<string> = []) {
    for (const hash of hashes) this.add(hash, []);
  }

  add(hash: string, errors: readonly SnapshotError[]): void {
    this.#refused.delete(hash);
    this.#refused.set(hash, { hash, errors });
    const oldest = this.#refused.keys().next();
    if (this.#refused.size > refusalsRemembered && !oldest.done) this.#refused.delete(oldest.value);
  }

  get(hash: string): RememberedRefusal | null {
    return this.#refused.get(hash) ?? null;
  }

  hashes(): readonly string[] {
    return [...this.#refused.keys()];
  }
}
