import type { DatabaseSync } from 'node:sqlite';
import { initial } from './migrations/0001-initial.ts';
import { audit } from './migrations/0002-audit.ts';
import { StoreError } from './store-error.ts';

/** One numbered step of the database's layout. A released one is never edited. */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly up: string;
}

/** In order; numbers are 1, 2, 3 … without gaps. */
export const migrations: readonly Migration[] = [initial, audit];

/** The layout that this build reads and writes. */
export const layoutVersion = migrations.length;

/** The layout of an open database: 0 for an empty one. */
export function layoutOf(db: DatabaseSync): number {
  const table = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'").get();
  if (!table) return 0;
  const row = db.prepare('SELECT max(number) AS number FROM migrations').get();
  return Number(row?.['number'] ?? 0);
}

/** Brings a database to the newest layout, each step in a transaction of its own. Throws `store-newer`, changing nothing. */
export function migrate(db: DatabaseSync, options: { readonly path: string; readonly nowMs: number; readonly steps?: readonly Migration[] }): void {
  const steps = options.steps ?? migrations;
  const from = layoutOf(db);
  if (from > steps.length) {
    throw new StoreError('store-newer', `${options.path}: written by a newer version of Remora (layout ${from}, this one knows ${steps.length}); start that version, or restore a backup`);
  }
  for (const step of steps.slice(from)) {
    db.exec('BEGIN IMMEDIATE');
    try {
      db.exec('CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT');
      db.exec(step.up);
      db.prepare('INSERT INTO migrations (number, name, at_ms) VALUES (?, ?, ?)').run(step.number, step.name, options.nowMs);
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}
