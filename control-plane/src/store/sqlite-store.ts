import type { DatabaseSync } from 'node:sqlite';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timers } from '@remora/core/clock';
import { runSteps } from '@remora/core/steps';
import type { Steps } from '@remora/core/steps';
import { compareVersions } from '@remora/core/version';
import type { Version } from '@remora/core/version';
import { BlobSweep, dropHistory, oldestKept, type Retention } from './compaction.ts';
import { applyChanges, asEntry, checkPlace, idempotencyAgeMs, idempotencyKeysMax } from './log-rules.ts';
import { createRecordBook } from './record-book.ts';
import type { RecordBook } from './record-book.ts';
import { SqliteAudit } from './sqlite-audit.ts';
import { createSqliteReader } from './sqlite-reader.ts';
import type { SqliteReader } from './sqlite-reader.ts';
import { createSqliteWriter } from './sqlite-writer.ts';
import type { EntryKeys, SqliteWriter } from './sqlite-writer.ts';
import { backupDatabase } from './sqlite-backup.ts';
import { openDatabase } from './sqlite-file.ts';
import type { OpenDatabase } from './sqlite-file.ts';
import { createSlices } from '../slices.ts';
import type { Slices } from '../slices.ts';
import { sortInSteps } from '../sort-in-steps.ts';
import { StoreError, asStoreError } from './store-error.ts';
import type { AppendInput, AppendResult, CompiledRecord, DocumentChange, DocumentKey, EntryPage, LogEntry, Store, StoredDocument } from './store.ts';

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

/** Changes and blobs from which an entry is written in many steps, and how many make one. */
const stagedFrom = 1_000;
const rowsPerStep = 200;
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
  readonly audit: SqliteAudit;
  readonly #slices: Slices;
  /** Versions behind the head may be there, of an entry whose commit failed. */
  #leftovers = false;
  #appending: Promise<unknown> = Promise.resolve();
  /** While history is dropped. */
  #sweep: BlobSweep | null = null;
  #fence = 0;
  #fenceEnd = 0;
  #closed = false;

  constructor(file: OpenDatabase, options: SqliteStoreOptions) {
    this.#file = file;
    this.#db = file.db;
    this.#options = options;
    this.#reader = createSqliteReader(file.db);
    this.#writer = createSqliteWriter(file.db);
    this.#slices = createSlices({ clock: options.clock, soon: setImmediate });
    this.#head = this.#reader.head();
    // What a process that was killed had written ahead of an entry.
    this.#writer.dropVersionsAfter(this.#head.index);
    this.#retainedFrom = this.#reader.meta('retained_from');
    this.#documents = this.#reader.currentDocuments();
    this.audit = new SqliteAudit({ db: file.db, clock: options.clock, transaction: (run) => this.#transaction(run), guarded: (run) => this.#guarded(run) });
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

  append(input: AppendInput): Promise<AppendResult> {
    // One at a time, in the order of the calls: a large one takes many turns.
    const turn = this.#appending.then(() => this.#append(input));
    this.#appending = turn.catch(() => undefined);
    return turn;
  }

  async #append(input: AppendInput): Promise<AppendResult> {
    const { idempotencyKey: key, idempotencyFingerprint: fingerprint = '', compiled } = input;
    const before = key === undefined ? null : this.repeated(key);
    if (before) return { kind: before.fingerprint === fingerprint ? 'repeated' : 'key-reused', entry: before.entry };
    if (compareVersions(input.expectedHead, this.#head) !== 0) return { kind: 'head-moved', head: this.#head };
    const atMs = this.#options.clock.wallMs();
    const version: Version = { epoch: this.#head.epoch, index: this.#head.index + 1 };
    const entry = asEntry(input, version, atMs);
    const staged = input.changes.length + (compiled?.blobs.size ?? 0) > stagedFrom;
    const keys = staged ? await this.#slices.run(this.#stage(entry, compiled)) : null;
    const documents = applyChanges(this.#documents, entry);
    if (staged) await this.#slices.pause();
    const audited = this.#transaction(() => {
      if (!staged) {
        if (this.#leftovers) this.#writer.dropVersionsAfter(this.#head.index);
        this.#writer.putVersions(version.index, entry.changes);
        if (compiled) this.#putBlobs(compiled.blobs);
      }
      this.#writer.putEntry(entry, atMs, keys);
      if (compiled) this.#putCompiled(version.index, compiled);
      if (key !== undefined) this.#writer.putIdempotencyKey({ key, fingerprint, index: version.index, atMs });
      return input.audit ? this.audit.write([input.audit(entry)]) : null;
    });
    if (audited) this.audit.advance(audited);
    this.#leftovers = false;
    this.#head = version;
    this.#documents = documents;
    return { kind: 'appended', entry };
  }

  /**
   * Most of a large entry, ahead of the commit that makes it one: bytes by their hash, which nothing names yet, and versions
   * behind the head, which nobody reads and the next entry or start removes. None of it has to be on the disk before that
   * commit, which flushes everything before it.
   */
  *#stage(entry: LogEntry, compiled: CompiledRecord | undefined): Steps<EntryKeys> {
    const { index } = entry.version;
    this.#leftovers = true;
    this.#unflushed(() => this.#writer.dropVersionsAfter(this.#head.index));
    for (let at = 0; at < entry.changes.length; at += rowsPerStep) {
      this.#unflushed(() => this.#writer.putVersions(index, entry.changes.slice(at, at + rowsPerStep)));
      yield;
    }
    const blobs = [...(compiled?.blobs ?? [])];
    for (let at = 0; at < blobs.length; at += rowsPerStep) {
      this.#unflushed(() => this.#putBlobs(blobs.slice(at, at + rowsPerStep)));
      yield;
    }
    const sorted = yield* sortInSteps(entry.changes, (a, b) => (a.key < b.key ? -1 : 1));
    const keysOf = (wanted: (change: DocumentChange) => boolean): string => JSON.stringify(sorted.flatMap((change) => (wanted(change) ? change.key : [])));
    return { written: keysOf(({ after }) => after !== null), removed: keysOf(({ after }) => after === null) };
  }

  #putBlobs(blobs: Iterable<readonly [string, Uint8Array]>): void {
    const all = this.#sweep ? [...blobs] : blobs;
    if (this.#sweep) for (const [hash] of all) this.#sweep.keep(hash);
    this.#writer.putBlobs(all);
  }

  #putCompiled(index: number, compiled: Omit<CompiledRecord, 'blobs'>): void {
    this.#writer.putCompiled(index, compiled);
    if (!this.#sweep) return;
    for (const hash of compiled.manifests.values()) this.#sweep.keep(hash);
    for (const [hash, hashes] of compiled.references) for (const one of [hash, ...hashes]) this.#sweep.keep(one);
  }

  repeated(idempotencyKey: string): { entry: LogEntry; fingerprint: string } | null {
    return this.#guarded(() => this.#reader.repeated(idempotencyKey, this.#options.clock.wallMs() - idempotencyAgeMs));
  }

  documents(at?: Version): ReadonlyMap<DocumentKey, StoredDocument> {
    return at === undefined ? this.#documents : runSteps(this.documentsInSteps(at));
  }

  *documentsInSteps(at: Version): Steps<ReadonlyMap<DocumentKey, StoredDocument>> {
    if (compareVersions(at, this.#head) === 0) return this.#documents;
    this.#checkPlace(at);
    const documents = new Map<DocumentKey, StoredDocument>();
    for (let after: string | null = ''; after !== null;) {
      const from: string = after;
      const page = this.#guarded(() => this.#reader.documentsAt(at.index, from, rowsPerStep));
      for (const [key, stored] of page.documents) documents.set(key, stored);
      after = page.lastKey;
      yield;
    }
    // History may have been dropped meanwhile, and with it a part of what is read here.
    this.#checkPlace(at);
    return documents;
  }

  #checkPlace(at: Version): void {
    this.#guarded(() => checkPlace(at, { head: this.#head, retainedFrom: this.#retainedFrom, epochOf: (index) => this.#reader.epochOf(index) }));
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
    this.#transaction(() => this.#putBlobs(blobs));
  }

  blob(hash: string): Uint8Array | null {
    return this.#guarded(() => this.#reader.blob(hash));
  }

  putManifests(index: number, manifests: ReadonlyMap<string, string>, references: ReadonlyMap<string, readonly string[]> = new Map()): void {
    this.#transaction(() => this.#putCompiled(index, { manifests, references }));
  }

  manifestAt(index: number, subject: string): string | null {
    return this.#guarded(() => this.#reader.manifestAt(index, subject));
  }

  references(manifest: string): readonly string[] | null {
    return this.#guarded(() => this.#reader.references(manifest));
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

  flushRecords(): void {
    this.#mustBeOpen();
    this.#book.flush();
  }

  nextFence(): number {
    if (this.#fence === this.#fenceEnd) {
      this.#fence = this.#transaction(() => this.#writer.takeFences(fenceBlock));
      this.#fenceEnd = this.#fence + fenceBlock;
    }
    return (this.#fence += 1);
  }

  async compact(keep: Retention): Promise<number> {
    // Between two entries: a large one that is half written has bytes in the store which nothing names yet.
    const turn = this.#appending.then(() => this.#beginSweep(keep));
    this.#appending = turn.catch(() => undefined);
    const range = await turn;
    return range === null ? 0 : this.#drop(range);
  }

  /** Null where nothing is to be dropped, or is being dropped already. */
  #beginSweep(keep: Retention): { readonly sweep: BlobSweep; readonly keepFrom: number } | null {
    if (this.#sweep !== null || this.#closed) return null;
    this.#transaction(() => this.#writer.dropIdempotencyKeys({ olderThanMs: keep.nowMs - idempotencyAgeMs, keep: idempotencyKeysMax }));
    const keepFrom = oldestKept(keep, this.#head.index, this.#guarded(() => this.#reader.firstIndexSince(keep.nowMs - keep.minAgeMs)));
    if (keepFrom <= this.#retainedFrom) return null;
    // From here on: what is appended meanwhile is told to the sweep.
    this.#sweep = new BlobSweep(this.#db, (run) => this.#unflushed(run));
    return { sweep: this.#sweep, keepFrom };
  }

  async #drop({ sweep, keepFrom }: { readonly sweep: BlobSweep; readonly keepFrom: number }): Promise<number> {
    try {
      const count = this.#guarded(() => this.#reader.countEntriesBefore(keepFrom));
      await this.#slices.run(dropHistory(this.#db, { from: this.#retainedFrom, keepFrom }, (run) => this.#unflushed(run), (oldest) => this.#retainFrom(oldest)));
      await this.#slices.run(sweep.run());
      return count;
    } catch (error) {
      if (this.#closed) return 0;
      this.#retainedFrom = this.#guarded(() => this.#reader.meta('retained_from'));
      throw asStoreError(error, this.#options.path);
    } finally {
      this.#sweep = null;
    }
  }

  /** Told before the commit: whoever asks for what is about to go is refused one turn too early, never answered wrongly. */
  #retainFrom(oldest: number): void {
    this.#writer.putMeta('retained_from', oldest);
    this.#retainedFrom = oldest;
  }

  async backup(path: string): Promise<void> {
    this.#mustBeOpen();
    this.#book.flush();
    await backupDatabase(this.#db, path);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#book.stop();
    await this.#appending;
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
    const audited = this.#transaction(() => {
      this.#writer.putMeta('epoch', input.epoch);
      this.#writer.putEntry(entry, atMs);
      return this.audit.write([{ action: 'store.restore', actor: { kind: 'system', name: input.author }, outcome: 'done', what: { epoch: input.epoch, revision: version.index } }]);
    });
    this.audit.advance(audited);
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

  /** A transaction that a later flush makes durable, with everything before it. */
  #unflushed(run: () => void): void {
    this.#mustBeOpen();
    this.#db.exec('PRAGMA synchronous = NORMAL');
    try {
      this.#transaction(run);
    } finally {
      this.#db.exec('PRAGMA synchronous = FULL');
    }
  }

  /** After a failed commit the file decides what happened, not our memory of it. */
  #undo(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      this.audit.reload();
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
