import type { Clock } from '@remora/core/clock';
import { chainNote, trimAction } from './audit-chain.ts';
import type { AuditAnchor, AuditNote, AuditPlace } from './audit-entry.ts';
import { chainStart } from './audit-entry.ts';
import type { AuditStore } from './audit-store.ts';

/** Kept in memory at most; the oldest tenth goes when there are more. */
const entriesMax = 20_000;

/** The chain of a store without a disk. */
export class MemoryAudit implements AuditStore {
  readonly #clock: Clock;
  #rows: { readonly seq: number; readonly atMs: number; readonly text: string; readonly hash: string }[] = [];
  #head: AuditPlace = chainStart;
  #anchor: AuditAnchor = chainStart;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  head(): AuditPlace {
    return this.#head;
  }

  append(notes: readonly AuditNote[]): AuditPlace {
    if (this.#rows.length + notes.length > entriesMax) this.trim({ beforeMs: Number.POSITIVE_INFINITY, limit: entriesMax / 10 });
    this.#add(notes);
    return this.#head;
  }

  texts({ after, limit }: { readonly after: number; readonly limit: number }): readonly { readonly seq: number; readonly text: string }[] {
    const from = Math.max(0, after - this.#anchor.seq);
    return this.#rows.slice(from, from + limit);
  }

  newest({ before = Number.POSITIVE_INFINITY, limit }: { readonly before?: number; readonly limit: number }): readonly { readonly seq: number; readonly text: string }[] {
    const to = Math.min(this.#rows.length, Math.max(0, before - this.#anchor.seq - 1));
    return this.#rows.slice(Math.max(0, to - limit), to).reverse();
  }

  anchor(): AuditAnchor {
    return this.#anchor;
  }

  count(): number {
    return this.#rows.length;
  }

  trim({ beforeMs, limit }: { readonly beforeMs: number; readonly limit: number }): number {
    const end = this.#rows.findIndex(({ atMs }) => atMs >= beforeMs);
    const count = Math.min(limit, end < 0 ? this.#rows.length : end);
    const last = this.#rows[count - 1];
    if (!last) return 0;
    const note = trimNote(last, count);
    this.#rows = this.#rows.slice(count);
    this.#anchor = { seq: last.seq, hash: last.hash, sealedBy: this.#head.seq + 1 };
    this.#add([note]);
    return count;
  }

  #add(notes: readonly AuditNote[]): void {
    const atMs = this.#clock.wallMs();
    for (const note of notes) {
      const { entry, text } = chainNote(note, this.#head, atMs);
      this.#rows.push({ seq: entry.seq, atMs, text, hash: entry.hash });
      this.#head = { seq: entry.seq, hash: entry.hash };
    }
  }
}

/** What retention writes into the chain about what it removes. */
export function trimNote(last: AuditPlace, count: number): AuditNote {
  return { action: trimAction, actor: { kind: 'system' }, outcome: 'done', what: { through: last.seq, hash: last.hash, entries: count } };
}
