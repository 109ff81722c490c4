import { canonicalJson } from '@remora/core/canonical-json';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Steps } from '@remora/core/steps';
import type { DocumentChange, DocumentKey, LogEntry, StoredDocument } from '../store/store.ts';
import { WriteError } from './write-error.ts';

/** What somebody wants to be true, in the words of the API. Documents are validated and canonical. */
export type Intent =
  | {
      readonly kind: 'apply';
      readonly documents: readonly { readonly key: DocumentKey; readonly document: JsonObject }[];
      /** Stamped on the documents; absent: they keep theirs. */
      readonly owner?: string;
      /** Deletes what carries this set and is missing from `documents`. */
      readonly prune?: string;
      /** Documents that must be as last read; the ETag of each, '' where it must not exist yet, '*' where it must. */
      readonly match?: ReadonlyMap<DocumentKey, readonly string[]>;
    }
  | { readonly kind: 'delete'; /** No key twice. */ readonly keys: readonly DocumentKey[]; readonly match?: ReadonlyMap<DocumentKey, readonly string[]> }
  | { readonly kind: 'revert'; readonly entry: LogEntry }
  | { readonly kind: 'restore-to'; readonly index: number; readonly documents: ReadonlyMap<DocumentKey, StoredDocument> };

/** Documents that a prune never takes: losing them cannot be undone by applying again. */
const neverPruned: ReadonlySet<string> = new Set(['Secret', 'Consumer']);

type Documents = ReadonlyMap<DocumentKey, StoredDocument>;

/** Whether two documents mean the same, as the model says. */
export type SameMeaning = (a: JsonObject, b: JsonObject) => boolean;

/** The changes that make the intent true, from these documents. Documents that mean the same already are not among them. */
export function* intendedChanges(intent: Intent, current: Documents, same: SameMeaning): Steps<DocumentChange[]> {
  switch (intent.kind) {
    case 'apply':
      return yield* applied(intent, current, same);
    case 'delete':
      return deleted(intent, current);
    case 'revert':
      return reverted(intent.entry, current, same);
    case 'restore-to':
      return yield* replaced(intent.documents, current, same);
  }
}

/** Changes with each write of a document, also over a restore of the store. */
export function etagOf(stored: StoredDocument): string {
  return `"${stored.writtenAt}-${shortHash(canonicalJson(stored.document))}"`;
}

/** FNV-1a: tells two contents of one revision number apart, nothing more. */
function shortHash(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

function* applied(intent: Extract<Intent, { kind: 'apply' }>, current: Documents, same: SameMeaning): Steps<DocumentChange[]> {
  checkMatch(intent.match, current);
  const owner = intent.owner ?? intent.prune;
  const changes: DocumentChange[] = [];
  for (const { key, document } of intent.documents) {
    yield;
    const before = current.get(key);
    const change = changeOf(key, before, { document, owner: owner ?? before?.owner ?? '' }, same);
    if (change) changes.push(change);
  }
  if (intent.prune !== undefined) changes.push(...pruned(intent.prune, intent.documents, current));
  return changes;
}

function pruned(set: string, documents: readonly { readonly key: DocumentKey }[], current: Documents): DocumentChange[] {
  if (documents.length === 0) throw new WriteError('empty-prune', `nothing was given, and prune=${set} would delete everything that carries this set; delete documents by name instead`);
  const given = new Set(documents.map(({ key }) => key));
  const changes: DocumentChange[] = [];
  for (const stored of current.values()) {
    const kind = stored.key.slice(0, stored.key.indexOf('/'));
    if (stored.owner !== set || given.has(stored.key) || neverPruned.has(kind)) continue;
    changes.push(deletion(stored));
  }
  return changes;
}

function deleted(intent: Extract<Intent, { kind: 'delete' }>, current: Documents): DocumentChange[] {
  checkMatch(intent.match, current);
  return intent.keys.map((key) => {
    const stored = current.get(key);
    if (!stored) throw new WriteError('not-found', `there is no ${key}`);
    return deletion(stored);
  });
}

/** Only the documents of that entry go back, and only where nobody touched them since. */
function reverted(entry: LogEntry, current: Documents, same: SameMeaning): DocumentChange[] {
  const conflicts = entry.changes.filter((change) => !sameOrGone(change.after, current.get(change.key)?.document ?? null, same));
  if (conflicts.length > 0) {
    throw new WriteError('revert-conflict', `${conflicts.length} of the ${entry.changes.length} documents of revision ${entry.version.index} changed since`, {
      facts: { changedSince: conflicts.map(({ key }) => ({ document: key, revision: current.get(key)?.writtenAt ?? null })) },
    });
  }
  const changes: DocumentChange[] = [];
  for (const { key, before, ownerBefore } of entry.changes) {
    const change = changeOf(key, current.get(key), before === null ? null : { document: before, owner: ownerBefore }, same);
    if (change) changes.push(change);
  }
  if (changes.length === 0) throw new WriteError('nothing-to-revert', `revision ${entry.version.index} changed no documents`);
  return changes;
}

function* replaced(wanted: Documents, current: Documents, same: SameMeaning): Steps<DocumentChange[]> {
  const changes: DocumentChange[] = [];
  for (const stored of wanted.values()) {
    yield;
    const change = changeOf(stored.key, current.get(stored.key), stored, same);
    if (change) changes.push(change);
  }
  for (const stored of current.values()) if (!wanted.has(stored.key)) changes.push(deletion(stored));
  return changes;
}

function changeOf(key: DocumentKey, before: StoredDocument | undefined, after: { readonly document: JsonObject; readonly owner: string } | null, same: SameMeaning): DocumentChange | null {
  if (before === undefined && after === null) return null;
  if (before && after && before.owner === after.owner && sameOrGone(before.document, after.document, same)) return null;
  return { key, before: before?.document ?? null, after: after?.document ?? null, ownerBefore: before?.owner ?? '', ownerAfter: after?.owner ?? '' };
}

function deletion(stored: StoredDocument): DocumentChange {
  return { key: stored.key, before: stored.document, after: null, ownerBefore: stored.owner, ownerAfter: '' };
}

function sameOrGone(a: JsonObject | null, b: JsonObject | null, same: SameMeaning): boolean {
  if (a === null || b === null) return a === b;
  return a === b || canonicalJson(a) === canonicalJson(b) || same(a, b);
}

function checkMatch(match: ReadonlyMap<DocumentKey, readonly string[]> | undefined, current: Documents): void {
  for (const [key, accepted] of match ?? []) {
    const stored = current.get(key);
    const actual = stored ? etagOf(stored) : '';
    if (accepted.includes(actual) || (stored && accepted.includes('*'))) continue;
    const now = stored ? `it is ${actual} now, written by revision ${stored.writtenAt}` : 'it does not exist';
    throw new WriteError('etag-mismatch', `${key} is not what you read: ${now}`, { facts: { document: key, etag: actual, revision: stored?.writtenAt ?? null } });
  }
}
