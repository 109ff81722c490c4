import type { Access } from '../operators/access.ts';
import type { DocumentChange, LogEntry } from '../store/store.ts';

/** Of changes, those whose documents are in the scope, before and after. */
export function visibleChanges(access: Access, changes: readonly DocumentChange[]): readonly DocumentChange[] {
  if (access.seesAll) return changes;
  return changes.filter(({ key, before, after }) => (before === null || access.seesDocument({ key, document: before })) && (after === null || access.seesDocument({ key, document: after })));
}

/** An entry of the log as far as it is about the scope; null where it is not. Author and message are those of the whole. */
export function visibleEntry(access: Access, entry: LogEntry): LogEntry | null {
  if (access.seesAll) return entry;
  const changes = visibleChanges(access, entry.changes);
  const grants = entry.grants.map(({ guard, subjects }) => ({ guard, subjects: subjects.filter((subject) => access.sees(subject)) })).filter(({ subjects }) => subjects.length > 0);
  if (changes.length === 0 && grants.length === 0) return null;
  const { changeCount: _, ...rest } = entry;
  return { ...rest, changes, grants };
}
