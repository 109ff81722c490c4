import type { JsonObject } from '@remora/core/canonical-json';
import type { Timer, Timers } from '@remora/core/clock';
import type { Store } from '../store/store.ts';

export type RecordStore = Pick<Store, 'records' | 'putRecords'>;

/** How long the last value of a key may wait, and how much is written at once. */
export interface WritePace {
  readonly afterMs: number;
  readonly perBatch: number;
  readonly betweenMs: number;
}

/** For what nobody else remembers: leases, refusals. */
export const promptPace: WritePace = { afterMs: 250, perBatch: 256, betweenMs: 50 };
/**
 * For what sidecars tell again when they come back. A push to thousands is over before what it changed is written, and a
 * fleet that is edited all the time costs a few hundred records a second.
 */
export const lazyPace: WritePace = { afterMs: 5_000, perBatch: 64, betweenMs: 250 };

/**
 * Collects small durable records and writes them behind, the last value of each key only, a few hundred at a time so
 * that thousands of sidecars reporting at once do not hold up the event loop.
 */
export class RecordWriter {
  readonly #store: RecordStore;
  readonly #timers: Timers;
  readonly #onError: (error: unknown) => void;
  readonly #pace: WritePace;
  readonly #pending = new Map<string, Map<string, () => JsonObject | null>>();
  #timer: Timer | null = null;

  /** A batch that cannot be written stays pending and is tried again. */
  constructor(deps: { readonly store: RecordStore; readonly timers: Timers; readonly onError: (error: unknown) => void; readonly pace: WritePace }) {
    this.#pace = deps.pace;
    this.#store = deps.store;
    this.#timers = deps.timers;
    this.#onError = deps.onError;
  }

  /** `read` is asked when the batch is written; null deletes. */
  put(namespace: string, key: string, read: () => JsonObject | null): void {
    let records = this.#pending.get(namespace);
    if (!records) {
      records = new Map();
      this.#pending.set(namespace, records);
    }
    records.set(key, read);
    this.#arm(this.#pace.afterMs);
  }

  /** Writes everything now. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    while (this.#pending.size > 0 && this.#writeBatch()) continue;
  }

  #arm(delayMs: number): void {
    this.#timer ??= this.#timers.after(delayMs, () => {
      this.#timer = null;
      const written = this.#writeBatch();
      if (this.#pending.size > 0) this.#arm(written ? this.#pace.betweenMs : this.#pace.afterMs * 5);
    });
  }

  #writeBatch(): boolean {
    for (const [namespace, records] of this.#pending) {
      const batch = new Map<string, JsonObject | null>();
      for (const [key, read] of records) {
        if (batch.size === this.#pace.perBatch) break;
        batch.set(key, read());
      }
      try {
        this.#store.putRecords(namespace, batch);
      } catch (error) {
        this.#onError(error);
        return false;
      }
      for (const key of batch.keys()) records.delete(key);
      if (records.size === 0) this.#pending.delete(namespace);
      return true;
    }
    return true;
  }
}
