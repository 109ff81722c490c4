import type { Version } from '@remora/core/version';
import { StoreError } from './store-error.ts';
import type { AppendInput, DocumentKey, LogEntry, StoredDocument } from './store.ts';

/** How long an idempotency key is remembered. */
export const idempotencyAgeMs = 24 * 3_600_000;
/** Keys remembered at most; the oldest go first. */
export const idempotencyKeysMax = 100_000;

/** The entry that an accepted append becomes. */
export function asEntry(input: AppendInput, version: Version, atMs: number): LogEntry {
  return {
    version,
    at: new Date(atMs).toISOString(),
    author: input.author,
    message: input.message,
    kind: input.kind,
    ...(input.of === undefined ? {} : { of: input.of }),
    changes: input.changes,
    grants: input.grants,
  };
}

/** The documents after an entry; the map before it stays as it was, for those who hold it. */
export function applyChanges(documents: ReadonlyMap<DocumentKey, StoredDocument>, entry: LogEntry): ReadonlyMap<DocumentKey, StoredDocument> {
  if (entry.changes.length === 0) return documents;
  const next = new Map(documents);
  for (const { key, after, ownerAfter } of entry.changes) {
    if (after === null) next.delete(key);
    else next.set(key, { key, document: after, writtenAt: entry.version.index, owner: ownerAfter });
  }
  return next;
}

/** Throws where a place in the log is not, or no longer, in this store. */
export function checkPlace(at: Version, log: { readonly head: Version; readonly retainedFrom: number; readonly epochOf: (index: number) => number | null }): void {
  const text = `${at.epoch}.${at.index}`;
  if (at.index > log.head.index || at.index < 0) throw new StoreError('version-unknown', `version ${text} is not in this log; the newest is ${log.head.epoch}.${log.head.index}`);
  if (at.index === 0 && log.retainedFrom <= 1) return;
  if (at.index < log.retainedFrom) throw new StoreError('history-gone', `version ${text} is past retention; the oldest kept is ${log.retainedFrom}`);
  if (log.epochOf(at.index) !== at.epoch) throw new StoreError('version-unknown', `version ${text} is of another epoch than this log's entry ${at.index}`);
}
