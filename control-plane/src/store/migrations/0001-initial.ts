import type { Migration } from '../migrations.ts';

/**
 * The log, every version of every document, and what hangs on them. A document's state as of an entry is its newest version
 * at or before it, so that no reading of history replays the log.
 */
export const initial: Migration = {
  number: 1,
  name: 'initial',
  up: `
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE entries (
      idx INTEGER PRIMARY KEY,
      epoch INTEGER NOT NULL,
      at_ms INTEGER NOT NULL,
      author TEXT NOT NULL,
      message TEXT NOT NULL,
      kind TEXT NOT NULL,
      of_idx INTEGER,
      grants TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_time ON entries (at_ms);
    CREATE TABLE document_versions (
      key TEXT NOT NULL,
      idx INTEGER NOT NULL,
      document TEXT,
      owner TEXT NOT NULL,
      PRIMARY KEY (key, idx)
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX document_versions_by_entry ON document_versions (idx);
    CREATE TABLE documents (key TEXT PRIMARY KEY, written_at INTEGER NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE idempotency (
      key TEXT PRIMARY KEY,
      idx INTEGER NOT NULL,
      fingerprint TEXT NOT NULL,
      at_ms INTEGER NOT NULL
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX idempotency_by_time ON idempotency (at_ms);
    CREATE TABLE blobs (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE manifests (subject TEXT NOT NULL, idx INTEGER NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (subject, idx)) WITHOUT ROWID, STRICT;
    CREATE TABLE manifest_references (hash TEXT PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
    CREATE TABLE records (namespace TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (namespace, key)) WITHOUT ROWID, STRICT;
  `,
};
