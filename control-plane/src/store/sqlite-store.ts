import { backup } from 'node:sqlite';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { canonicalJson } from '@remora/core/canonical-json';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timers } from '@remora/core/clock';
import { compareVersions } from '@remora/core/version';
import type { Version } from '@remora/core/version';
import { dropHistory, oldestKept } from './compaction.ts';
import { applyChanges, asEntry, checkPlace, idempotencyAgeMs, idempotencyKeysMax } from './log-rules.ts';
import { createRecordBook } from './record-book.ts';
import type { RecordBook } from './record-book.ts';
import { createSqliteReader } from './sqlite-reader.ts';
import type { SqliteReader } from './sqlite-reader.ts';
import { createSqliteWriter } from './sqlite-writer.ts';
import type { SqliteWriter } from './sqlite-writer.ts';
import { openDatabase, syncFolder } from './sqlite-file.ts';
import type { OpenDatabase } from './sqlite-file.ts';
import { StoreError, asStoreError } from './store-error.ts';
import type { AppendInput, AppendResult, DocumentKey, EntryPage, LogEntry, Store, StoredDocument } from './store.ts';

export interface SqliteStoreOptions {
  /** The database file; `.lock`, `-wal` and `-shm` appear beside it. */
  readonly path: string;
  readonly clock: Clock;
  readonly timers: Timers;
  /** The file grows no further: beyond, writes answer `store-full`. Default: what the disk has. */
  readonly bytesMax?: number;
  /** Told of what went wrong behind a caller's back. */
  readonly alarm: (error: unknown) => void;
}

/** Fences taken from the disk at once: a restart skips what was left. */
const fenceBlock = 1_000;

/**
 * The log in one SQLite file: WAL, one writer, full sync on commit. Calls are synchronous inside: a commit takes as long as
 * the disk needs for one flush. Throws StoreError where the file cannot be used.
 */
export function openSqliteStore(options: SqliteStoreOptions): SqliteStore {
  const nowMs = options.clock.wallMs();
  const file = openDatabase({ path: options.path, nowMs, initialEpoch: Math.max(1, Math.floor(nowMs / 1_000)), ...(options.bytesMax === undefined ? {} : { bytesMax: options.bytesMax }) });
  try {
    return new SqliteStore(file, options);
  } catch (error) {
    file.close();
    throw asStoreError(error, options.path);
  }
}

export class SqliteStore implements Store {
  readonly #file: OpenDatabase;
  readonly #db: DatabaseSync;
  readonly #options: SqliteStoreOptions;
  readonly #reader: SqliteReader;
  readonly #writer: SqliteWriter;
  readonly #book: RecordBook;
  #head: Version;
  #documents: ReadonlyMap<DocumentKey, StoredDocument>;
  #retainedFrom: number;
  #fence = 0;
  #fenceEnd = 0;
  #closed = false;

  constructor(file: OpenDatabase, options: SqliteStoreOptions) {
    this.#file = file;
    this.#db = file.db;
    this.#options = options;
    this.#reader = createSqliteReader(file.db);
    this.#writer = createSqliteWriter(file.db);
    this.#head = this.#reader.head();
    this.#retainedFrom = this.#reader.meta('retained_from');
    this.#documents = this.#reader.currentDocuments();
    this.#book = createRecordBook({
      load: (namespace) => this.#guarded(() => this.#reader.records(namespace)),
      write: (batch) => this.#transaction(() => this.#writer.putRecords(batch)),
      timers: options.timers,
      alarm: options.alarm,
    });
  }

  head(): Version {
    return this.#head;
  }

  async append(input: AppendInput): Promise<AppendResult> {
    const { idempotencyKey: key, idempotencyFingerprint: fingerprint = '' } = input;
    const before = key === undefined ? null : this.repeated(key);
    if (before) return { kind: before.fingerprint === fingerprint ? 'repeated' : 'key-reused', entry: before.entry };
    if (compareVersions(input.expectedHead, this.#head) !== 0) return { kind: 'head-moved', head: this.#head };
    const atMs = this.#options.clock.wallMs();
    const version: Version = { epoch: this.#head.epoch, index: this.#head.index + 1 };
    const entry = asEntry(input, version, atMs);
    const written = entry.changes.map((change) => ({ key: change.key, owner: change.ownerAfter, text: change.after && canonicalJson(change.after) }));
    this.#transaction(() => {
      this.#writer.putEntry(entry, atMs, written);
      if (input.compiled) this.#writer.putCompiled(version.index, input.compiled);
      if (key !== undefined) this.#writer.putIdempotencyKey({ key, fingerprint, index: version.index, atMs });
    });
    this.#head = version;
    this.#documents = applyChanges(this.#documents, entry);
    return { kind: 'appended', entry };
  }

  repeated(idempotencyKey: string): { entry: LogEntry; fingerprint: string } | null {
    return this.#guarded(() => this.#reader.repeated(idempotencyKey, this.#options.clock.wallMs() - idempotencyAgeMs));
  }

  documents(at?: Version): ReadonlyMap<DocumentKey, StoredDocument> {
    if (at === undefined || compareVersions(at, this.#head) === 0) return this.#documents;
    return this.#guarded(() => {
      checkPlace(at, { head: this.#head, retainedFrom: this.#retainedFrom, epochOf: (index) => this.#reader.epochOf(index) });
      return this.#reader.documentsAt(at.index);
    });
  }

  entry(index: number): LogEntry | null {
    return this.#guarded(() => this.#reader.entry(index));
  }

  entries(page: EntryPage): readonly LogEntry[] {
    return this.#guarded(() => this.#reader.entries(page));
  }

  lastChange(key: DocumentKey, at?: number): LogEntry | null {
    return this.#guarded(() => this.#reader.lastChange(key, at ?? this.#head.index));
  }

  retainedFrom(): number {
    return this.#retainedFrom;
  }

  putBlobs(blobs: ReadonlyMap<string, Uint8Array>): void {
    this.#transaction(() => this.#writer.putCompiled(this.#head.index, { manifests: new Map(), blobs, references: new Map() }));
  }

  blob(hash: string): Uint8Array | null {
    return this.#guarded(() => this.#reader.blob(hash));
  }

  putManifests(index: number, manifests: ReadonlyMap<string, string>, references: ReadonlyMap<string, readonly string[]> = new Map()): void {
    this.#transaction(() => this.#writer.putCompiled(index, { manifests, blobs: new Map(), references }));
  }

  manifestAt(index: number, subject: string): string | null {
    return this.#guarded(() => this.#reader.manifestAt(index, subject));
  }

  manifestHistory(subject: string, limit: number): readonly { readonly index: number; readonly hash: string }[] {
    return this.#guarded(() => this.#reader.manifestHistory(subject, limit));
  }

  records(namespace: string): ReadonlyMap<string, JsonObject> {
    return this.#book.records(namespace);
  }

  putRecords(namespace: string, records: ReadonlyMap<string, JsonObject | null>): void {
    this.#mustBeOpen();
    this.#book.put(namespace, records);
  }

  nextFence(): number {
    if (this.#fence === this.#fenceEnd) {
      this.#fence = this.#transaction(() => this.#writer.takeFences(fenceBlock));
      this.#fenceEnd = this.#fence + fenceBlock;
    }
    return (this.#fence += 1);
  }

  compact(keep: { readonly minAgeMs: number; readonly minEntries: number; readonly nowMs: number }): number {
    const dropped = this.#transaction(() => {
      this.#writer.dropIdempotencyKeys({ olderThanMs: keep.nowMs - idempotencyAgeMs, keep: idempotencyKeysMax });
      const from = oldestKept(keep, this.#head.index, this.#reader.firstIndexSince(keep.nowMs - keep.minAgeMs));
      if (from <= this.#retainedFrom) return 0;
      const count = this.#reader.countEntriesBefore(from);
      dropHistory(this.#db, from);
      this.#writer.putMeta('retained_from', from);
      return count;
    });
    this.#retainedFrom = this.#guarded(() => this.#reader.meta('retained_from'));
    return dropped;
  }

  async backup(path: string): Promise<void> {
    this.#mustBeOpen();
    this.#book.flush();
    const unfinished = `${path}.unfinished`;
    if (existsSync(path)) throw new StoreError('store-exists', `${path}: there is a file of that name already`);
    rmSync(unfinished, { force: true });
    try {
      await backup(this.#db, unfinished, { rate: 256 });
      renameSync(unfinished, path);
      syncFolder(dirname(path));
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw asStoreError(error, path);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#book.stop();
    try {
      this.#book.flush();
    } finally {
      this.#closed = true;
      this.#file.close();
    }
  }

  /** New epoch and a first entry that says so: what `restore` does to a copy. */
  startEpoch(input: { readonly epoch: number; readonly author: string; readonly message: string }): LogEntry {
    const atMs = this.#options.clock.wallMs();
    const version: Version = { epoch: input.epoch, index: this.#head.index + 1 };
    const entry: LogEntry = { version, at: new Date(atMs).toISOString(), author: input.author, message: input.message, kind: 'restored', of: this.#head.index, changes: [], grants: [] };
    this.#transaction(() => {
      this.#writer.putMeta('epoch', input.epoch);
      this.#writer.putEntry(entry, atMs, []);
    });
    this.#head = version;
    return entry;
  }

  #transaction<T>(run: () => T): T {
    this.#mustBeOpen();
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const result = run();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      this.#undo();
      throw asStoreError(error, this.#options.path);
    }
  }

  /** After a failed commit the file decides what happened, not our memory of it. */
  #undo(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      const head = this.#reader.head();
      if (compareVersions(head, this.#head) === 0) return;
      this.#head = head;
      this.#documents = this.#reader.currentDocuments();
    } catch (error) {
      this.#options.alarm(asStoreError(error, this.#options.path));
    }
  }

  #guarded<T>(run: () => T): T {
    this.#mustBeOpen();
    try {
      return run();
    } catch (error) {
      throw asStoreError(error, this.#options.path);
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StoreError('store-closed', 'the store is closed');
  }
}
