import type { Store } from '../store/store.ts';

/** One flush of the store for everybody who waits in the same turn: a fleet that renews at once shares the disk's time. */
export class GroupFlush {
  readonly #store: Pick<Store, 'flushRecords'>;
  readonly #soon: (run: () => void) => void;
  #next: Promise<void> | null = null;

  constructor(deps: { readonly store: Pick<Store, 'flushRecords'>; readonly soon: (run: () => void) => void }) {
    this.#store = deps.store;
    this.#soon = deps.soon;
  }

  /** Resolves when everything put before this call is durable; rejects where the disk refuses. */
  done(): Promise<void> {
    this.#next ??= new Promise((resolve, reject) => {
      this.#soon(() => {
        this.#next = null;
        try {
          this.#store.flushRecords();
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
    return this.#next;
  }
}
