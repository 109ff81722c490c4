/** Why the store could not do what was asked. Codes are stable: they reach the API and the log. */
export type StoreErrorCode =
  | 'history-gone'
  | 'version-unknown'
  | 'store-closed'
  | 'store-corrupt'
  | 'store-exists'
  | 'store-full'
  | 'store-io'
  | 'store-locked'
  | 'store-missing'
  | 'store-newer'
  | 'store-not-ours'
  | 'store-read-only';

/** Thrown by every implementation of the store. After it, nothing of the failed call is in the store. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** Primary result codes of SQLite (https://sqlite.org/rescode.html) that have a code of their own here. */
const codeBySqlite: ReadonlyMap<number, readonly [StoreErrorCode, string]> = new Map([
  [5, ['store-locked', 'the database is locked by another process']],
  [6, ['store-locked', 'the database is locked by another process']],
  [8, ['store-read-only', 'the database cannot be written: read-only file or file system']],
  [10, ['store-io', 'the disk answered with an error']],
  [11, ['store-corrupt', 'the database file is damaged']],
  [13, ['store-full', 'the disk is full, or the quota used up']],
  [14, ['store-io', 'the database file cannot be opened']],
  [26, ['store-not-ours', 'the file is not an SQLite database']],
] as const);

/** Translates what `node:sqlite` throws; everything else comes back as it is. */
export function asStoreError(error: unknown, path: string): unknown {
  if (error instanceof StoreError || !(error instanceof Error)) return error;
  const { code, errcode } = error as Error & { readonly code?: string; readonly errcode?: number };
  if (code !== 'ERR_SQLITE_ERROR' || errcode === undefined) return error;
  const known = codeBySqlite.get(errcode & 0xff);
  if (!known) return new StoreError('store-io', `${path}: ${error.message} (SQLite ${errcode})`, { cause: error });
  return new StoreError(known[0], `${path}: ${known[1]} (${error.message})`, { cause: error });
}
