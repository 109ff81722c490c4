import type { Migration } from '../migrations.ts';

/** The audit log: entries as they are hashed and exported, and where retention cut it off. */
export const audit: Migration = {
  number: 2,
  name: 'audit',
  up: `
    CREATE TABLE audit (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, entry TEXT NOT NULL) STRICT;
    CREATE TABLE audit_anchor (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL, sealed_by INTEGER NOT NULL) STRICT;
  `,
};
