import type { DatabaseSync } from 'node:sqlite';

/** How much history stays: an entry goes when it is older than the age *and* beyond the newest `minEntries`. */
export interface Retention {
  readonly minAgeMs: number;
  readonly minEntries: number;
  readonly nowMs: number;
}

/** The oldest entry that stays. The newest always does. */
export function oldestKept(retention: Retention, head: number, firstYoung: number): number {
  return Math.max(1, Math.min(head, firstYoung, head - Math.max(1, retention.minEntries) + 1));
}

/**
 * Drops entries before `keepFrom` inside the caller's transaction, with versions of documents that only they showed, and
 * bytes that no kept manifest reaches. What a document was just before `keepFrom` stays: the oldest entry shows it.
 */
export function dropHistory(db: DatabaseSync, keepFrom: number): void {
  db.prepare('DELETE FROM entries WHERE idx < ?').run(keepFrom);
  db.prepare(`DELETE FROM document_versions WHERE idx < :from AND EXISTS (
    SELECT 1 FROM document_versions AS newer WHERE newer.key = document_versions.key AND newer.idx > document_versions.idx AND newer.idx < :from)`).run({ from: keepFrom });
  db.prepare('DELETE FROM document_versions WHERE idx < ? AND document IS NULL').run(keepFrom);
  db.prepare(`DELETE FROM manifests WHERE idx < :from AND EXISTS (
    SELECT 1 FROM manifests AS newer WHERE newer.subject = manifests.subject AND newer.idx > manifests.idx AND newer.idx <= :from)`).run({ from: keepFrom });
  db.prepare("DELETE FROM manifests WHERE idx <= ? AND hash = ''").run(keepFrom);
  db.prepare('DELETE FROM manifest_references WHERE hash NOT IN (SELECT hash FROM manifests)').run();
  dropUnreachedBlobs(db);
}

function dropUnreachedBlobs(db: DatabaseSync): void {
  const reached = new Set<string>();
  for (const row of db.prepare('SELECT DISTINCT hash FROM manifests').iterate()) reached.add(String(row['hash']));
  for (const row of db.prepare('SELECT hashes FROM manifest_references').iterate()) {
    for (const hash of unpackHashes(row['hashes'] as Uint8Array)) reached.add(hash);
  }
  const remove = db.prepare('DELETE FROM blobs WHERE hash = ?');
  const unreached: string[] = [];
  for (const row of db.prepare('SELECT hash FROM blobs').iterate()) {
    if (!reached.has(String(row['hash']))) unreached.push(String(row['hash']));
  }
  for (const hash of unreached) remove.run(hash);
}

/** Hex hashes as 32 bytes each, one after the other. */
export function packHashes(hashes: readonly string[]): Uint8Array {
  return Buffer.from(hashes.join(''), 'hex');
}

export function unpackHashes(packed: Uint8Array): string[] {
  const text = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength).toString('hex');
  const hashes: string[] = [];
  for (let at = 0; at < text.length; at += 64) hashes.push(text.slice(at, at + 64));
  return hashes;
}
