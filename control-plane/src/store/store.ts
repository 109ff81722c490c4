import type { JsonObject } from '@remora/core/canonical-json';
import type { Version } from '@remora/core/version';

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
  /** All documents as of a place in the log (default: now). Throws `history-gone` past retention. */
  documents(at?: Version): ReadonlyMap<DocumentKey, StoredDocument>;
  entry(index: number): LogEntry | null;
  /** Newest first. */
  entries(page: { readonly before?: number; readonly since?: number; readonly limit: number }): readonly LogEntry[];
  /** Oldest entry that is kept. */
  retainedFrom(): number;

  /** Content-addressed bytes: manifests, pages, resources. Kept as long as an entry's compilation names them. */
  putBlobs(blobs: ReadonlyMap<string, Uint8Array>): void;
  blob(hash: string): Uint8Array | null;
  /** Manifest hash per subject key, as compiled from an entry. */
  putManifests(index: number, manifests: ReadonlyMap<string, string>): void;
  /** The manifest of a subject as of an entry. */
  manifestAt(index: number, subject: string): string | null;

  /** Small durable records by namespace and key: sidecar status, refusal memory, instance leases, settings. */
  records(namespace: string): ReadonlyMap<string, JsonObject>;
  /** Written behind: durable within a second. null deletes. */
  putRecords(namespace: string, records: ReadonlyMap<string, JsonObject | null>): void;
  /** A number that no earlier call in this store, before any restart, has answered. */
  nextFence(): number;

  /** Applies retention now; answers how many entries went. */
  compact(keep: { readonly minAgeMs: number; readonly minEntries: number; readonly nowMs: number }): number;
  /** Consistent copy of everything into a file that must not exist. */
  backup(path: string): Promise<void>;
  close(): Promise<void>;
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
}

export type AppendResult =
  | { readonly kind: 'appended' | 'repeated'; readonly entry: LogEntry }
  | { readonly kind: 'head-moved'; readonly head: Version };
