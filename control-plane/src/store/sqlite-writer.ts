import type { DatabaseSync } from 'node:sqlite';
import { canonicalJson } from '@remora/core/canonical-json';
import { packHashes } from './compaction.ts';
import type { RecordBatch } from './record-book.ts';
import type { CompiledRecord, DocumentChange, LogEntry } from './store.ts';

/** Keys of the documents that a large entry writes and removes: JSON lists, sorted. In one statement they take half the time, in which nothing else can run. */
export interface EntryKeys {
  readonly written: string;
  readonly removed: string;
}

/** Every change the store makes to its file, as prepared statements. The caller holds the transaction. */
export type SqliteWriter = ReturnType<typeof createSqliteWriter>;

export function createSqliteWriter(db: DatabaseSync) {
  const setMeta = db.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value');
  const addEntry = db.prepare('INSERT INTO entries (idx, epoch, at_ms, author, message, kind, of_idx, grants) VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const addVersion = db.prepare('INSERT INTO document_versions (key, idx, document, owner) VALUES (?, ?, ?, ?)');
  const dropVersions = db.prepare('DELETE FROM document_versions WHERE idx > ?');
  const setCurrent = db.prepare('INSERT INTO documents (key, written_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at');
  const setCurrents = db.prepare('INSERT INTO documents (key, written_at) SELECT value, ? FROM json_each(?) WHERE true ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at');
  const removeCurrents = db.prepare('DELETE FROM documents WHERE key IN (SELECT value FROM json_each(?))');
  const removeCurrent = db.prepare('DELETE FROM documents WHERE key = ?');
  const addKey = db.prepare('INSERT INTO idempotency (key, idx, fingerprint, at_ms) VALUES (:key, :index, :fingerprint, :atMs) ON CONFLICT (key) DO UPDATE SET idx = excluded.idx, fingerprint = excluded.fingerprint, at_ms = excluded.at_ms');
  const dropOldKeys = db.prepare('DELETE FROM idempotency WHERE at_ms < ?');
  const dropManyKeys = db.prepare('DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency ORDER BY at_ms DESC, idx DESC LIMIT -1 OFFSET ?)');
  const addBlob = db.prepare('INSERT INTO blobs (hash, bytes) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING');
  const setManifest = db.prepare('INSERT INTO manifests (subject, idx, hash) VALUES (?, ?, ?) ON CONFLICT (subject, idx) DO UPDATE SET hash = excluded.hash');
  const addReferences = db.prepare('INSERT INTO manifest_references (hash, hashes) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING');
  const setRecord = db.prepare('INSERT INTO records (namespace, key, value) VALUES (?, ?, ?) ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value');
  const removeRecord = db.prepare('DELETE FROM records WHERE namespace = ? AND key = ?');
  const takeFences = db.prepare("UPDATE meta SET value = value + ? WHERE key = 'fence' RETURNING value");

  return {
    putMeta(key: string, value: number): void {
      setMeta.run(key, value);
    },
    /** The documents of an entry as it leaves them. Nobody sees them before the entry itself. */
    putVersions(index: number, changes: readonly DocumentChange[]): void {
      for (const { key, after, ownerAfter } of changes) addVersion.run(key, index, after && canonicalJson(after), ownerAfter);
    },
    /** An entry whose versions are there: from now on it is the newest. `keys`: its keys, where they were prepared. */
    putEntry(entry: LogEntry, atMs: number, keys: EntryKeys | null = null): void {
      const { version, author, message, kind, of, grants } = entry;
      addEntry.run(version.index, version.epoch, atMs, author, message, kind, of ?? null, JSON.stringify(grants));
      if (keys) {
        removeCurrents.run(keys.removed);
        setCurrents.run(version.index, keys.written);
      } else {
        for (const { key, after } of entry.changes) {
          if (after === null) removeCurrent.run(key);
          else setCurrent.run(key, version.index);
        }
      }
      setMeta.run('head', version.index);
    },
    /** What was written for an entry that never came. */
    dropVersionsAfter(index: number): void {
      dropVersions.run(index);
    },
    putIdempotencyKey(use: { key: string; index: number; fingerprint: string; atMs: number }): void {
      addKey.run({ ...use });
    },
    dropIdempotencyKeys(bounds: { readonly olderThanMs: number; readonly keep: number }): void {
      dropOldKeys.run(bounds.olderThanMs);
      dropManyKeys.run(bounds.keep);
    },
    putBlobs(blobs: Iterable<readonly [string, Uint8Array]>): void {
      for (const [hash, bytes] of blobs) addBlob.run(hash, bytes);
    },
    putCompiled(index: number, compiled: Omit<CompiledRecord, 'blobs'>): void {
      for (const [subject, hash] of compiled.manifests) setManifest.run(subject, index, hash);
      for (const [hash, hashes] of compiled.references) addReferences.run(hash, packHashes(hashes));
    },
    putRecords(batch: RecordBatch): void {
      for (const { namespace, key, value } of batch) {
        if (value === null) removeRecord.run(namespace, key);
        else setRecord.run(namespace, key, canonicalJson(value));
      }
    },
    /** Answers the last fence before the block taken. */
    takeFences(count: number): number {
      return Number(takeFences.get(count)?.['value'] ?? count) - count;
    },
  };
}
