import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { backup, type DatabaseSync } from 'node:sqlite';
import { syncFolder } from './sqlite-file.ts';
import { StoreError, asStoreError } from './store-error.ts';

/** A copy of a database in use, which has its name only once it is whole. Throws StoreError where there is a file of that name, or it cannot be written. */
export async function backupDatabase(db: DatabaseSync, path: string): Promise<void> {
  const unfinished = `${path}.unfinished`;
  if (existsSync(path)) throw new StoreError('store-exists', `${path}: there is a file of that name already`);
  rmSync(unfinished, { force: true });
  try {
    await backup(db, unfinished, { rate: 256 });
    renameSync(unfinished, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw asStoreError(error, path);
  }
}
