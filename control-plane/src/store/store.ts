import type { JsonObject } from '@remora/core/canonical-json';
import type { Steps } from '@remora/core/steps';
import type { Version } from '@remora/core/version';
import type { AuditNote } from '../audit/audit-entry.ts';
import type { AuditStore } from '../audit/audit-store.ts';

/**
 * The append-only log of the control plane and what hangs on it. Implementations: memory (simulator, `remora run`) and
 * SQLite; one contract suite runs over both. Everything that `append` acknowledges is durable.
 */
export interface Store {
  /** The newest place in the log; {epoch, 0} in an empty store. */
  head(): Version;
  /**
   * Appends one entry where the head is still `expectedHead`; else answers `head-moved` and changes nothing. With an
   * idempotency key that was used before, answers the entry made then.
   */
  append(input: AppendInput): Promise<AppendResult>;
  /** What an idempotency key did, while it is remembered (24 h). */
  repeated(idempotencyKey: string): { readonly entry: LogEntry; readonly fingerprint: string } | null;
  /**
   * All documents as of a place in the log (default: now). Throws StoreError `history-gone` past retention, and
   * `version-unknown` for a place that this log never had. The map is not changed by later writes.
   */
  documents(at?: Version): ReadonlyMap<DocumentKey, StoredDocument>;
  /** The same, to be interrupted between documents: those of the past are read from the disk. */
  documentsInSteps(at: Version): Steps<ReadonlyMap<DocumentKey, StoredDocument>>;
  entry(index: number): LogEntry | null;
  /** Newest first. `before` and `since` are indexes, both exclusive; `sinceMs` is unix time; `key`: only what changed this document. */
  entries(page: EntryPage): readonly LogEntry[];
  /** Newest entry at or before `at` (default: now) that changed one document, grants and formats aside. */
  lastChange(key: DocumentKey, at?: number): LogEntry | null;
  /** Oldest entry that is kept. */
  retainedFrom(): number;

  /** Content-addressed bytes: manifests, pages, resources. Kept as long as a kept manifest names them. */
  putBlobs(blobs: ReadonlyMap<string, Uint8Array>): void;
  blob(hash: string): Uint8Array | null;
  /** Manifest hash per subject key, as compiled from an entry; '' where the subject is gone. Subjects that are not named keep theirs. */
  putManifests(index: number, manifests: ReadonlyMap<string, string>, references?: ReadonlyMap<string, readonly string[]>): void;
  /** The manifest of a subject as of an entry. */
  manifestAt(index: number, subject: string): string | null;
  /** Hashes of everything that a manifest reaches; null where the manifest is not kept. */
  references(manifest: string): readonly string[] | null;
  /** Entries from which the subject has had another manifest, newest first; '' where it went. */
  manifestHistory(subject: string, limit: number): readonly { readonly index: number; readonly hash: string }[];

  /** Small durable records by namespace and key: sidecar status, refusal memory, instance leases, settings. */
  records(namespace: string): ReadonlyMap<string, JsonObject>;
  /** Written behind: durable within a second. null deletes. */
  putRecords(namespace: string, records: ReadonlyMap<string, JsonObject | null>): void;
  /** Everything put so far is durable when it returns. Throws where the disk refuses; what waits stays for the next try. */
  flushRecords(): void;
  /** Who did what, as a chain of hashes. */
  readonly audit: AuditStore;
  /** A number that no earlier call in this store, before any restart, has answered. */
  nextFence(): number;

  /** Applies retention, a little at a time; answers how many entries went. One at a time: another one meanwhile answers 0. */
  compact(keep: { readonly minAgeMs: number; readonly minEntries: number; readonly nowMs: number }): Promise<number>;
  /** Consistent copy of everything into a file that must not exist. */
  backup(path: string): Promise<void>;
  close(): Promise<void>;
}

export interface EntryPage {
  readonly before?: number;
  readonly since?: number;
  readonly sinceMs?: number;
  readonly key?: DocumentKey;
  readonly limit: number;
  /** Changes read of each entry, by key; default all. */
  readonly changesMax?: number;
}

/** `Policy/orders-api`. */
export type DocumentKey = `${string}/${string}`;

export interface StoredDocument {
  readonly key: DocumentKey;
  /** Canonical form of what was applied: validated, units and order as the author's, keys sorted. */
  readonly document: JsonObject;
  /** Changes with each write of this document: the ETag. Index of the entry that wrote it. */
  readonly writtenAt: number;
  /** Owner set (`?owner=`), '' where none. */
  readonly owner: string;
}

export interface DocumentChange {
  readonly key: DocumentKey;
  /** null: it did not exist. */
  readonly before: JsonObject | null;
  /** null: deleted. */
  readonly after: JsonObject | null;
  readonly ownerBefore: string;
  readonly ownerAfter: string;
}

export interface LogEntry {
  readonly version: Version;
  readonly at: string;
  readonly author: string;
  readonly message: string;
  /** `documents`: an apply. A revert or restore names the entry it goes back to. `grant` has no changes. */
  readonly kind: 'documents' | 'revert' | 'restore-to' | 'grant' | 'format' | 'restored';
  readonly of?: number;
  readonly changes: readonly DocumentChange[];
  /** Set where `changes` are not all of them. */
  readonly changeCount?: number;
  /** Guards lifted by `force`, with the subjects concerned. */
  readonly grants: readonly Grant[];
}

export interface Grant {
  readonly guard: string;
  /** Subject keys; empty: all that the change touches. */
  readonly subjects: readonly string[];
}

export interface AppendInput {
  readonly expectedHead: Version;
  readonly author: string;
  readonly message: string;
  readonly kind: LogEntry['kind'];
  readonly of?: number;
  readonly changes: readonly DocumentChange[];
  readonly grants: readonly Grant[];
  readonly idempotencyKey?: string;
  /** What the key was used for; the same key for something else is `key-reused`. */
  readonly idempotencyFingerprint?: string;
  /** What was compiled from it, stored in the same transaction. */
  readonly compiled?: CompiledRecord;
  /** What the audit log says about it, in the same transaction: there is no entry without it. */
  readonly audit?: (entry: LogEntry) => AuditNote;
}

/** Content-addressed outcome of a compilation, as far as it is new. */
export interface CompiledRecord {
  /** Manifest hash by subject key, for subjects whose hash changed; '' where the subject is gone. */
  readonly manifests: ReadonlyMap<string, string>;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  /** Hashes of everything a manifest reaches, by manifest hash. */
  readonly references: ReadonlyMap<string, readonly string[]>;
}

export type AppendResult =
  | { readonly kind: 'appended' | 'repeated'; readonly entry: LogEntry }
  | { readonly kind: 'key-reused'; readonly entry: LogEntry }
  | { readonly kind: 'head-moved'; readonly head: Version };
