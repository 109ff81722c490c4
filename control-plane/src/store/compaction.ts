import type { DatabaseSync } from 'node:sqlite';
import type { Steps } from '@remora/core/steps';

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

/** Runs something in a transaction of its own. */
export type Transact = (run: () => void) => void;

/** Entries dropped, and rows looked at, in one transaction. */
const entriesPerStep = 20;
const rowsPerStep = 500;

/**
 * Drops entries before `keepFrom` a few at a time, oldest first, with versions of documents that only they showed. What a
 * document was just before `keepFrom` stays: the oldest entry shows it. `moved` is told inside each transaction which entry
 * is the oldest from then on. Entries may be appended meanwhile.
 */
export function* dropHistory(db: DatabaseSync, range: { readonly from: number; readonly keepFrom: number }, transact: Transact, moved: (oldest: number) => void): Steps<void> {
  const versions = db.prepare(`DELETE FROM document_versions WHERE idx < :from AND EXISTS (
    SELECT 1 FROM document_versions AS newer WHERE newer.key = document_versions.key AND newer.idx > document_versions.idx AND newer.idx < :from)`);
  const manifests = db.prepare(`DELETE FROM manifests WHERE idx < :from AND EXISTS (
    SELECT 1 FROM manifests AS newer WHERE newer.subject = manifests.subject AND newer.idx > manifests.idx AND newer.idx <= :from)`);
  for (let oldest = range.from; oldest < range.keepFrom;) {
    oldest = Math.min(range.keepFrom, oldest + entriesPerStep);
    transact(() => {
      db.prepare('DELETE FROM entries WHERE idx < ?').run(oldest);
      versions.run({ from: oldest });
      db.prepare('DELETE FROM document_versions WHERE idx < ? AND document IS NULL').run(oldest);
      manifests.run({ from: oldest });
      db.prepare("DELETE FROM manifests WHERE idx <= ? AND hash = ''").run(oldest);
      moved(oldest);
    });
    yield;
  }
}

/**
 * Drops bytes that no kept manifest reaches. While it looks, entries may be appended: what they bring is marked too, by the
 * caller, through `keep`.
 */
export class BlobSweep {
  readonly #db: DatabaseSync;
  readonly #transact: Transact;
  /** The first 52 bits of each hash: two that are equal there keep a blob too many, never one too few. */
  readonly #reached = new Set<number>();

  constructor(db: DatabaseSync, transact: Transact) {
    this.#db = db;
    this.#transact = transact;
  }

  keep(hash: string): void {
    this.#reached.add(shortHash(hash));
  }

  *run(): Steps<void> {
    yield* this.#markManifests();
    yield* this.#sweepReferences();
    yield* this.#sweepBlobs();
  }

  *#markManifests(): Steps<void> {
    const page = this.#db.prepare('SELECT subject, idx, hash FROM manifests WHERE (subject, idx) > (?, ?) ORDER BY subject, idx LIMIT ?');
    let subject = '';
    let index = -1;
    for (let more = true; more;) {
      const rows = page.all(subject, index, rowsPerStep);
      for (const row of rows) this.keep(String(row['hash']));
      const last = rows.at(-1);
      subject = String(last?.['subject']);
      index = Number(last?.['idx']);
      more = rows.length === rowsPerStep;
      yield;
    }
  }

  /** Those of manifests that are gone go; the others name what is reached. */
  *#sweepReferences(): Steps<void> {
    const page = this.#db.prepare('SELECT rowid AS row, hash, hashes FROM manifest_references WHERE rowid > ? ORDER BY rowid LIMIT ?');
    const remove = this.#db.prepare('DELETE FROM manifest_references WHERE rowid = ?');
    let after = -1;
    for (let more = true; more;) {
      const rows = page.all(after, rowsPerStep);
      const gone = rows.filter((row) => !this.#reached.has(shortHash(String(row['hash']))));
      this.#transact(() => {
        for (const row of gone) remove.run(Number(row['row']));
      });
      const kept = new Set(rows);
      for (const row of gone) kept.delete(row);
      for (const row of kept) for (const hash of unpackHashes(row['hashes'] as Uint8Array)) this.keep(hash);
      after = Number(rows.at(-1)?.['row']);
      more = rows.length === rowsPerStep;
      yield;
    }
  }

  *#sweepBlobs(): Steps<void> {
    const page = this.#db.prepare('SELECT rowid AS row, hash FROM blobs WHERE rowid > ? ORDER BY rowid LIMIT ?');
    const remove = this.#db.prepare('DELETE FROM blobs WHERE rowid = ?');
    let after = -1;
    for (let more = true; more;) {
      const rows = page.all(after, rowsPerStep);
      this.#transact(() => {
        for (const row of rows) if (!this.#reached.has(shortHash(String(row['hash'])))) remove.run(Number(row['row']));
      });
      after = Number(rows.at(-1)?.['row']);
      more = rows.length === rowsPerStep;
      yield;
    }
  }
}

function shortHash(hash: string): number {
  return Number.parseInt(hash.slice(0, 13), 16);
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
