import type { JsonObject } from '@remora/core/canonical-json';
import type { Timer, Timers } from '@remora/core/clock';

/** How long a record may wait for the disk. */
const writeBehindMs = 500;
/** Records that may wait; more are written at once, by the caller that brings them. */
const pendingMax = 10_000;

export interface RecordBook {
  records(namespace: string): ReadonlyMap<string, JsonObject>;
  put(namespace: string, records: ReadonlyMap<string, JsonObject | null>): void;
  /** Writes what waits. Throws where the disk refuses; everything stays for the next try. */
  flush(): void;
  stop(): void;
}

/** What goes to the disk in one transaction. */
export type RecordBatch = readonly { readonly namespace: string; readonly key: string; readonly value: JsonObject | null }[];

/**
 * Small records, written behind: readers see a put at once, the disk within half a second. They are not kept in memory, for
 * they are read at a start only. A refused write is told to `alarm` and tried again; what waits is bounded by the number
 * of records, because a newer value replaces an older one.
 */
export function createRecordBook(ports: {
  readonly load: (namespace: string) => Map<string, JsonObject>;
  readonly write: (batch: RecordBatch) => void;
  readonly timers: Timers;
  readonly alarm: (error: unknown) => void;
}): RecordBook {
  const pending = new Map<string, { namespace: string; key: string; value: JsonObject | null }>();
  let timer: Timer | null = null;
  let stopped = false;

  const flush = (): void => {
    if (pending.size === 0) return;
    ports.write([...pending.values()]);
    pending.clear();
  };
  const schedule = (delayMs: number): void => {
    if (timer || stopped) return;
    timer = ports.timers.after(delayMs, () => {
      timer = null;
      try {
        flush();
      } catch (error) {
        ports.alarm(error);
        schedule(2 * writeBehindMs);
      }
    });
  };

  return {
    records(wanted) {
      const found = ports.load(wanted);
      for (const { namespace, key, value } of pending.values()) {
        if (namespace !== wanted) continue;
        if (value === null) found.delete(key);
        else found.set(key, value);
      }
      return found;
    },
    put(namespace, records) {
      for (const [key, value] of records) pending.set(`${namespace}\n${key}`, { namespace, key, value });
      if (pending.size > pendingMax) flush();
      else if (pending.size > 0) schedule(writeBehindMs);
    },
    flush,
    stop() {
      stopped = true;
      timer?.cancel();
      timer = null;
    },
  };
}
