import type { AuditAnchor, AuditNote, AuditPlace } from './audit-entry.ts';

/** The chain on the disk. Part of every store; one contract suite runs over all of them. */
export interface AuditStore {
  /** The newest entry; seq 0 in an empty log. */
  head(): AuditPlace;
  /** Puts notes at the end of the chain, in this order. Durable when it returns; throws StoreError, and then nothing was added. */
  append(notes: readonly AuditNote[]): AuditPlace;
  /** Entries as they are stored, oldest first, behind `after`. */
  texts(page: { readonly after: number; readonly limit: number }): readonly { readonly seq: number; readonly text: string }[];
  /** The newest ones, newest first, before `before` (default: the end). */
  newest(page: { readonly before?: number; readonly limit: number }): readonly { readonly seq: number; readonly text: string }[];
  anchor(): AuditAnchor;
  /** Entries that are kept, where none was taken away otherwise. */
  count(): number;
  /** Removes entries older than `beforeMs`, at most `limit` of the oldest, and says so in the chain. Answers how many went. */
  trim(bounds: { readonly beforeMs: number; readonly limit: number }): number;
}
