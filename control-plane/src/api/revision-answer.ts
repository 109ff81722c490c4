import type { DocumentChange, LogEntry } from '../store/store.ts';
import type { Enforcement } from '../push/push-hub.ts';

/** Documents named of one revision; more are counted only. A page of a list names fewer of each, so that it stays small. */
const documentsMax = 1_000;
export const documentsListed = 20;

export function actionOf(change: DocumentChange): 'created' | 'updated' | 'deleted' {
  return change.before === null ? 'created' : change.after === null ? 'deleted' : 'updated';
}

/** A log entry as the API shows it. */
export function revisionAnswer(entry: LogEntry, documents = documentsMax): object {
  return {
    revision: entry.version.index,
    version: entry.version,
    at: entry.at,
    author: entry.author,
    message: entry.message,
    kind: entry.kind,
    ...(entry.of === undefined ? {} : { of: entry.of }),
    documents: entry.changes.slice(0, documents).map((change) => ({ document: change.key, action: actionOf(change) })),
    documentCount: entry.changes.length,
    grants: entry.grants,
  };
}

export function enforcementAnswer(enforcement: Enforcement): Enforcement & { readonly counts: Readonly<Record<string, number>> } {
  const counts = { total: enforcement.sidecars.length, applied: 0, pending: 0, refused: 0, offline: 0, superseded: 0 };
  for (const { outcome } of enforcement.sidecars) counts[outcome] += 1;
  const { version, done, elapsedMs, sidecars } = enforcement;
  return { version, done, elapsedMs, counts, sidecars };
}
