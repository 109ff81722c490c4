import { constants, copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { backup } from 'node:sqlite';
import type { Clock, Timers } from '@remora/core/clock';
import type { Version } from '@remora/core/version';
import { layoutOf, layoutVersion } from './migrations.ts';
import { openExisting, syncFolder } from './sqlite-file.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { StoreError, asStoreError } from './store-error.ts';

/** The database inside a data folder. */
export function databasePath(dataDir: string): string {
  return join(dataDir, 'control-plane.db');
}

/**
 * Copies a data folder's database into one new file, also while a control plane runs on it. The copy is consistent: the state
 * after some revision. Throws StoreError; nothing is left where it fails.
 */
export async function backupStore(options: { readonly dataDir: string; readonly to: string }): Promise<{ readonly head: Version }> {
  const path = databasePath(options.dataDir);
  if (existsSync(options.to)) throw new StoreError('store-exists', `${options.to}: there is a file of that name already`);
  const unfinished = `${options.to}.unfinished`;
  const db = openExisting(path, true);
  try {
    await backup(db, unfinished, { rate: 256 });
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw asStoreError(error, options.to);
  } finally {
    db.close();
  }
  const head = inspectBackup(unfinished);
  renameSync(unfinished, options.to);
  syncFolder(dirname(options.to));
  return { head };
}

/**
 * Makes a data folder from a backup. The folder must not have a database. The log goes on in a new epoch, greater than any that
 * sidecars may have seen, so that they take what the restored control plane says for newer than what they have.
 */
export async function restoreStore(options: { readonly from: string; readonly dataDir: string; readonly clock: Clock; readonly timers: Timers; readonly author: string }): Promise<{ readonly head: Version }> {
  const path = databasePath(options.dataDir);
  for (const taken of [path, `${path}-wal`]) {
    if (existsSync(taken)) throw new StoreError('store-exists', `${taken}: the data folder has a store already; move it away, or restore into another folder`);
  }
  const before = inspectBackup(options.from);
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const unfinished = `${path}.restoring`;
  for (const leftover of [unfinished, `${unfinished}-wal`, `${unfinished}-shm`, `${unfinished}.lock`]) rmSync(leftover, { force: true });
  copyFileSync(options.from, unfinished, constants.COPYFILE_EXCL);
  const store = openSqliteStore({ path: unfinished, clock: options.clock, timers: options.timers, alarm: () => {} });
  const epoch = Math.max(before.epoch + 1, Math.floor(options.clock.wallMs() / 1_000));
  let head: Version;
  try {
    head = store.startEpoch({ epoch, author: options.author, message: `restored from a backup of ${before.epoch}.${before.index}` }).version;
  } finally {
    await store.close();
  }
  rmSync(`${unfinished}.lock`, { force: true });
  renameSync(unfinished, path);
  syncFolder(options.dataDir);
  return { head };
}

/** Checks a backup and says where its log ends. */
function inspectBackup(path: string): Version {
  const db = openExisting(path, true);
  try {
    const layout = layoutOf(db);
    if (layout > layoutVersion) throw new StoreError('store-newer', `${path}: written by a newer version of Remora (layout ${layout}, this one knows ${layoutVersion})`);
    const meta = (key: string): number => Number(db.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.['value'] ?? 0);
    return { epoch: meta('epoch'), index: meta('head') };
  } finally {
    db.close();
  }
}
