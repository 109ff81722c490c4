import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '@remora/core/clock';
import { chainNote } from '../audit/audit-chain.ts';
import type { AuditAnchor, AuditNote, AuditPlace } from '../audit/audit-entry.ts';
import { chainStart } from '../audit/audit-entry.ts';
import type { AuditStore } from '../audit/audit-store.ts';
import { trimNote } from '../audit/memory-audit.ts';

/** How the store runs what reads and what writes. */
export interface SqliteAuditPorts {
  readonly db: DatabaseSync;
  readonly clock: Clock;
  /** In a transaction that is on the disk when it returns. */
  readonly transaction: <T>(run: () => T) => T;
  readonly guarded: <T>(run: () => T) => T;
}

/** The chain in the database, in the same transactions as what it is about. */
export class SqliteAudit implements AuditStore {
  readonly #ports: SqliteAuditPorts;
  readonly #statements: ReturnType<typeof prepare>;
  #head: AuditPlace;

  constructor(ports: SqliteAuditPorts) {
    this.#ports = ports;
    this.#statements = prepare(ports.db);
    this.#head = this.#readHead();
  }

  head(): AuditPlace {
    return this.#head;
  }

  append(notes: readonly AuditNote[]): AuditPlace {
    if (notes.length === 0) return this.#head;
    const place = this.#ports.transaction(() => this.write(notes));
    this.advance(place);
    return place;
  }

  /** Within a transaction of the caller, who calls `advance` when it is committed. */
  write(notes: readonly AuditNote[]): AuditPlace {
    const atMs = this.#ports.clock.wallMs();
    let place = this.#head;
    for (const note of notes) {
      const { entry, text } = chainNote(note, place, atMs);
      this.#statements.add.run(entry.seq, atMs, text);
      place = { seq: entry.seq, hash: entry.hash };
    }
    return place;
  }

  advance(place: AuditPlace): void {
    this.#head = place;
  }

  /** After a failed commit: the file decides. */
  reload(): void {
    this.#head = this.#readHead();
  }

  texts({ after, limit }: { readonly after: number; readonly limit: number }): readonly { readonly seq: number; readonly text: string }[] {
    return this.#ports.guarded(() => this.#statements.after.all(after, limit).map(rowOf));
  }

  newest({ before = Number.MAX_SAFE_INTEGER, limit }: { readonly before?: number; readonly limit: number }): readonly { readonly seq: number; readonly text: string }[] {
    return this.#ports.guarded(() => this.#statements.before.all(before, limit).map(rowOf));
  }

  anchor(): AuditAnchor {
    return this.#ports.guarded(() => {
      const row = this.#statements.anchor.get();
      return row ? { seq: Number(row['seq']), hash: String(row['hash']), sealedBy: Number(row['sealed_by']) } : chainStart;
    });
  }

  count(): number {
    return this.#head.seq - this.anchor().seq;
  }

  trim({ beforeMs, limit }: { readonly beforeMs: number; readonly limit: number }): number {
    const oldest = this.#ports.guarded(() => this.#statements.oldest.all(limit).map((row) => ({ seq: Number(row['seq']), atMs: Number(row['at_ms']) })));
    const end = oldest.findIndex(({ atMs }) => atMs >= beforeMs);
    const count = end < 0 ? oldest.length : end;
    const last = oldest[count - 1];
    const row = last && this.#ports.guarded(() => this.#statements.one.get(last.seq));
    if (!row) return 0;
    // What its own text says, whoever wrote that: a chain that is broken stays broken.
    const place = { seq: last.seq, hash: hashIn(rowOf(row).text) };
    const next = this.#ports.transaction(() => {
      const sealed = this.write([trimNote(place, count)]);
      this.#statements.setAnchor.run(place.seq, place.hash, sealed.seq);
      this.#statements.drop.run(place.seq);
      return sealed;
    });
    this.advance(next);
    return count;
  }

  #readHead(): AuditPlace {
    const row = this.#statements.before.get(Number.MAX_SAFE_INTEGER, 1);
    if (!row) return this.#ports.guarded(() => this.anchor());
    const { seq, text } = rowOf(row);
    return { seq, hash: hashIn(text) };
  }
}

function prepare(db: DatabaseSync) {
  return {
    add: db.prepare('INSERT INTO audit (seq, at_ms, entry) VALUES (?, ?, ?)'),
    after: db.prepare('SELECT seq, entry FROM audit WHERE seq > ? ORDER BY seq LIMIT ?'),
    before: db.prepare('SELECT seq, entry FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?'),
    oldest: db.prepare('SELECT seq, at_ms FROM audit ORDER BY seq LIMIT ?'),
    one: db.prepare('SELECT seq, entry FROM audit WHERE seq = ?'),
    anchor: db.prepare('SELECT seq, hash, sealed_by FROM audit_anchor WHERE id = 1'),
    setAnchor: db.prepare('INSERT INTO audit_anchor (id, seq, hash, sealed_by) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, sealed_by = excluded.sealed_by'),
    drop: db.prepare('DELETE FROM audit WHERE seq <= ?'),
  };
}

function rowOf(row: Record<string, unknown>): { readonly seq: number; readonly text: string } {
  return { seq: Number(row['seq']), text: String(row['entry']) };
}

/** '' where the text is no entry: the next one does not fit behind it, which verification tells. */
function hashIn(text: string): string {
  try {
    const { hash } = JSON.parse(text) as { readonly hash?: unknown };
    return typeof hash === 'string' ? hash : '';
  } catch {
    return '';
  }
}
