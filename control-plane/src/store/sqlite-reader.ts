import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Version } from '@remora/core/version';
import { unpackHashes } from './compaction.ts';
import type { DocumentChange, DocumentKey, EntryPage, Grant, LogEntry, StoredDocument } from './store.ts';

type Row = Record<string, SQLOutputValue>;

/** Every question the store asks its file, as prepared statements. Rows become our types here and nowhere else. */
export type SqliteReader = ReturnType<typeof createSqliteReader>;

export function createSqliteReader(db: DatabaseSync) {
  const metaOf = db.prepare('SELECT value FROM meta WHERE key = ?');
  const current = db.prepare(`SELECT d.key, d.written_at AS idx, v.document, v.owner FROM documents AS d
    JOIN document_versions AS v ON v.key = d.key AND v.idx = d.written_at ORDER BY d.key`);
  const asOf = db.prepare('SELECT key, max(idx) AS idx, document, owner FROM document_versions WHERE idx <= ? AND key > ? GROUP BY key ORDER BY key LIMIT ?');
  const entryAt = db.prepare('SELECT * FROM entries WHERE idx = ?');
  const page = db.prepare(`SELECT * FROM entries WHERE idx < :before AND idx > :since AND at_ms >= :sinceMs
    AND (:key IS NULL OR EXISTS (SELECT 1 FROM document_versions AS v WHERE v.key = :key AND v.idx = entries.idx)) ORDER BY idx DESC LIMIT :limit`);
  const versionsOf = db.prepare('SELECT key, document, owner FROM document_versions WHERE idx = ? ORDER BY key LIMIT ?');
  const countVersions = db.prepare('SELECT count(*) AS count FROM document_versions WHERE idx = ?');
  const versionBefore = db.prepare('SELECT document, owner FROM document_versions WHERE key = ? AND idx < ? ORDER BY idx DESC LIMIT 1');
  const lastVersion = db.prepare('SELECT max(idx) AS idx FROM document_versions WHERE key = ? AND idx <= ?');
  const keyUsed = db.prepare('SELECT idx, fingerprint FROM idempotency WHERE key = ? AND at_ms >= ?');
  const referencesOf = db.prepare('SELECT hashes FROM manifest_references WHERE hash = ?');
  const blobOf = db.prepare('SELECT bytes FROM blobs WHERE hash = ?');
  const manifestOf = db.prepare('SELECT hash FROM manifests WHERE subject = ? AND idx <= ? ORDER BY idx DESC LIMIT 1');
  const manifestsOf = db.prepare('SELECT idx, hash FROM manifests WHERE subject = ? ORDER BY idx DESC LIMIT ?');
  const recordsOf = db.prepare('SELECT key, value FROM records WHERE namespace = ?');
  const firstSince = db.prepare('SELECT min(idx) AS idx FROM entries WHERE at_ms >= ?');
  const countBefore = db.prepare('SELECT count(*) AS count FROM entries WHERE idx < ?');

  const changesOf = (index: number, max: number): DocumentChange[] =>
    versionsOf.all(index, max).map((row) => {
      const before = versionBefore.get(String(row['key']), index);
      return {
        key: String(row['key']) as DocumentKey,
        before: before ? asDocument(before) : null,
        after: asDocument(row),
        ownerBefore: before ? String(before['owner']) : '',
        ownerAfter: String(row['owner']),
      };
    });

  const asLogEntry = (row: Row, changesMax = noLimit): LogEntry => {
    const index = Number(row['idx']);
    const changes = changesOf(index, changesMax);
    const changeCount = changes.length === changesMax ? Number(countVersions.get(index)?.['count'] ?? 0) : changes.length;
    return {
      version: { epoch: Number(row['epoch']), index },
      at: new Date(Number(row['at_ms'])).toISOString(),
      author: String(row['author']),
      message: String(row['message']),
      kind: String(row['kind']) as LogEntry['kind'],
      ...(row['of_idx'] === null ? {} : { of: Number(row['of_idx']) }),
      changes,
      ...(changeCount > changes.length ? { changeCount } : {}),
      grants: JSON.parse(String(row['grants'])) as Grant[],
    };
  };

  const meta = (key: string): number => Number(metaOf.get(key)?.['value'] ?? 0);
  const entry = (index: number): LogEntry | null => {
    const row = entryAt.get(index);
    return row ? asLogEntry(row) : null;
  };

  return {
    meta,
    head: (): Version => ({ epoch: meta('epoch'), index: meta('head') }),
    currentDocuments: (): ReadonlyMap<DocumentKey, StoredDocument> => asDocuments(current.iterate()),
    /** Documents as of an entry whose keys come after another one; fewer than `limit` only at the end, which the last key tells. */
    documentsAt(index: number, after: string, limit: number): { readonly documents: ReadonlyMap<DocumentKey, StoredDocument>; readonly lastKey: string | null } {
      const rows = asOf.all(index, after, limit);
      return { documents: asDocuments(rows), lastKey: rows.length < limit ? null : String(rows.at(-1)?.['key']) };
    },
    entry,
    epochOf(index: number): number | null {
      const row = entryAt.get(index);
      return row ? Number(row['epoch']) : null;
    },
    entries: ({ before = Number.MAX_SAFE_INTEGER, since = -1, sinceMs = 0, key = null, limit, changesMax = noLimit }: Omit<EntryPage, 'key'> & { readonly key?: DocumentKey | null }): LogEntry[] =>
      page.all({ before, since, sinceMs, key, limit }).map((row) => asLogEntry(row, changesMax)),
    lastChange(key: DocumentKey, at: number): LogEntry | null {
      const index = lastVersion.get(key, at)?.['idx'];
      return index === null || index === undefined ? null : entry(Number(index));
    },
    repeated(key: string, sinceMs: number): { entry: LogEntry; fingerprint: string } | null {
      const row = keyUsed.get(key, sinceMs);
      const found = row ? entry(Number(row['idx'])) : null;
      return row && found ? { entry: found, fingerprint: String(row['fingerprint']) } : null;
    },
    blob: (hash: string): Uint8Array | null => (blobOf.get(hash)?.['bytes'] as Uint8Array | undefined) ?? null,
    manifestAt: (index: number, subject: string): string | null => String(manifestOf.get(subject, index)?.['hash'] ?? '') || null,
    references(manifest: string): readonly string[] | null {
      const hashes = referencesOf.get(manifest)?.['hashes'];
      return hashes === undefined ? null : unpackHashes(hashes as Uint8Array);
    },
    manifestHistory: (subject: string, limit: number) => manifestsOf.all(subject, limit).map((row) => ({ index: Number(row['idx']), hash: String(row['hash']) })),
    records(namespace: string): Map<string, JsonObject> {
      return new Map(recordsOf.all(namespace).map((row) => [String(row['key']), JSON.parse(String(row['value'])) as JsonObject]));
    },
    /** Index of the first entry since a time; past the end where there is none. */
    firstIndexSince: (sinceMs: number): number => Number(firstSince.get(sinceMs)?.['idx'] ?? Number.MAX_SAFE_INTEGER),
    countEntriesBefore: (index: number): number => Number(countBefore.get(index)?.['count'] ?? 0),
  };
}

/** What SQLite takes for no limit. */
const noLimit = -1;

function asDocument(row: Row): JsonObject | null {
  return row['document'] === null ? null : (JSON.parse(String(row['document'])) as JsonObject);
}

function asDocuments(rows: Iterable<Row>): ReadonlyMap<DocumentKey, StoredDocument> {
  const documents = new Map<DocumentKey, StoredDocument>();
  for (const row of rows) {
    const document = asDocument(row);
    const key = String(row['key']) as DocumentKey;
    if (document) documents.set(key, { key, document, writtenAt: Number(row['idx']), owner: String(row['owner']) });
  }
  return documents;
}
