import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { migrate } from './migrations.ts';
import { StoreError, asStoreError } from './store-error.ts';

/** 'RMRA': says in the file's header whose it is. */
const applicationId = 0x524d5241;
/** How long a statement waits for another process (a backup's last page) before it answers `store-locked`. */
const busyTimeoutMs = 250;

export interface OpenDatabase {
  readonly db: DatabaseSync;
  close(): void;
}

/**
 * Opens the database of one control plane, creating and migrating it where needed, and keeps every other control plane out
 * until `close`. The lock ends with the process, however that ends.
 */
export function openDatabase(options: { readonly path: string; readonly nowMs: number; readonly initialEpoch: number; readonly bytesMax?: number }): OpenDatabase {
  const { path } = options;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StoreError('store-io', `${dirname(path)}: the data folder cannot be made (${(error as Error).message})`, { cause: error });
  }
  const lock = takeLock(path);
  try {
    if (!existsSync(path)) createDatabase(options);
    const db = openExisting(path);
    try {
      migrate(db, options);
      if (options.bytesMax !== undefined) db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(options.bytesMax / pageBytes(db)))}`);
    } catch (error) {
      db.close();
      throw error;
    }
    return {
      db,
      close() {
        db.close();
        lock.close();
      },
    };
  } catch (error) {
    lock.close();
    throw asStoreError(error, path);
  }
}

/** Opens and checks a database file that must be there and be ours. The caller holds the lock, or only reads. */
export function openExisting(path: string, readOnly = false): DatabaseSync {
  refuseStrangeFile(path);
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly, timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
    const found = Number(db.prepare('PRAGMA application_id').get()?.['application_id'] ?? 0);
    if (found !== applicationId) throw new StoreError('store-not-ours', `${path}: an SQLite database, but not one of a Remora control plane`);
    const verdict = String(db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'] ?? '');
    if (verdict !== 'ok') throw new StoreError('store-corrupt', `${path}: the database file is damaged (${verdict}); restore a backup`);
    if (!readOnly) db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000;');
    return db;
  } catch (error) {
    db?.close();
    throw asStoreError(error, path);
  }
}

function pageBytes(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA page_size').get()?.['page_size'] ?? 4_096);
}

/** A new database appears under its name only when it is whole: an empty file there is damage, never a fresh start. */
function createDatabase(options: { readonly path: string; readonly nowMs: number; readonly initialEpoch: number }): void {
  const { path } = options;
  if (existsSync(`${path}-wal`)) {
    throw new StoreError('store-corrupt', `${path}: missing, while its write-ahead log is there; restore the file or a backup`);
  }
  const unfinished = `${path}.new`;
  for (const leftover of [unfinished, `${unfinished}-journal`]) rmSync(leftover, { force: true });
  const db = new DatabaseSync(unfinished);
  try {
    db.exec(`PRAGMA synchronous = FULL; PRAGMA application_id = ${applicationId};`);
    migrate(db, { ...options, path: unfinished });
    const put = db.prepare('INSERT INTO meta (key, value) VALUES (?, ?)');
    for (const [key, value] of [['epoch', options.initialEpoch], ['head', 0], ['retained_from', 1], ['fence', 0]] as const) put.run(key, value);
  } finally {
    db.close();
  }
  renameSync(unfinished, path);
  syncFolder(dirname(path));
}

/** Makes a rename in a folder durable. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function refuseStrangeFile(path: string): void {
  let size: number;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new StoreError('store-not-ours', `${path}: not a file`);
    size = stat.size;
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new StoreError(missing ? 'store-missing' : 'store-io', `${path}: ${missing ? 'there is no such file' : (error as Error).message}`, { cause: error });
  }
  if (size === 0) throw new StoreError('store-corrupt', `${path}: the database file is empty; restore a backup, or move it away to start anew`);
}

/** An exclusive transaction on a file beside the database: SQLite's own locks are the only ones Node offers, and end with the process. */
function takeLock(path: string): { close(): void } {
  const lock = new DatabaseSync(`${path}.lock`, { timeout: 0, open: false });
  try {
    lock.open();
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    if (lock.isOpen) lock.close();
    const translated = asStoreError(error, path);
    if (translated instanceof StoreError && translated.code === 'store-locked') {
      throw new StoreError('store-locked', `${path}: in use by another control plane; one store belongs to one process`, { cause: error });
    }
    throw translated;
  }
  return { close: () => lock.close() };
}
