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
/** For what sidecars tell again when they come back. A push to thousands is over before what it changed is written. */
export const lazyPace: WritePace = { afterMs: 5_000, perBatch: 64, betweenMs: 250 };
/**
 * For what every acknowledgement changes, and the sidecar itself knows better: a fleet of 5,000 that is edited all the
 * time costs 80 records a second.
 */
export const idlePace: WritePace = { afterMs: 60_000, perBatch: 64, betweenMs: 250 };

/** One namespace of a writer: says which keys have changed. */
export interface WrittenRecords {
  put(key: string): void;
}

/**
 * Collects small durable records and writes them behind, the last value of each key only, a few hundred at a time so
 * that thousands of sidecars reporting at once do not hold up the event loop.
 */
export class RecordWriter {
  readonly #store: RecordStore;
  readonly #timers: Timers;
  readonly #onError: (error: unknown) => void;
  readonly #pace: WritePace;
  readonly #namespaces: Namespace[] = [];
  #timer: Timer | null = null;

  /** A batch that cannot be written stays pending and is tried again. */
  constructor(deps: { readonly store: RecordStore; readonly timers: Timers; readonly onError: (error: unknown) => void; readonly pace: WritePace }) {
    this.#pace = deps.pace;
    this.#store = deps.store;
    this.#timers = deps.timers;
    this.#onError = deps.onError;
  }

  /** `read` is asked for the value when a batch is written; null deletes. */
  records(name: string, read: (key: string) => JsonObject | null): WrittenRecords {
    const namespace: Namespace = { name, read, pending: new Set() };
    this.#namespaces.push(namespace);
    return {
      put: (key) => {
        namespace.pending.add(key);
        if (this.#timer === null) this.#arm(this.#pace.afterMs);
      },
    };
  }

  /** Writes everything now. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    for (let next = this.#next(); next && this.#writeBatch(next); next = this.#next()) continue;
  }

  #next(): Namespace | undefined {
    return this.#namespaces.find(({ pending }) => pending.size > 0);
  }

  #arm(delayMs: number): void {
    this.#timer = this.#timers.after(delayMs, () => {
      this.#timer = null;
      const next = this.#next();
      const written = !next || this.#writeBatch(next);
      if (this.#next()) this.#arm(written ? this.#pace.betweenMs : this.#pace.afterMs * 5);
    });
  }

  #writeBatch({ name, read, pending }: Namespace): boolean {
    const batch = new Map<string, JsonObject | null>();
    for (const key of pending) {
      if (batch.size === this.#pace.perBatch) break;
      batch.set(key, read(key));
    }
    try {
      this.#store.putRecords(name, batch);
    } catch (error) {
      this.#onError(error);
      return false;
    }
    for (const key of batch.keys()) pending.delete(key);
    return true;
  }
}

interface Namespace {
  readonly name: string;
  readonly read: (key: string) => JsonObject | null;
  readonly pending: Set<string>;
}
