import type { SubjectKey } from '@remora/core/subject';

/** An item of the state lane as it travels: encoded once for all sidecars that need it. */
export interface EncodedItem {
  /** Unique within its kind; without `/`. */
  readonly name: string;
  /** The kind's own message, at most 256 KiB. */
  readonly body: Uint8Array;
  /** SHA-256 (hex) of `body`. */
  readonly hash: string;
}

/** Where items of one kind come from: what a sidecar must know beside its snapshot, and what changes without a revision. */
export interface StateItemSource {
  /** `trustBundle`, `revocations`, `secret`, `consumers`. */
  readonly kind: string;
  /**
   * What sidecars of this subject need now, and nothing that they may not have. The same array for as long as nothing changed. Null: not known yet, they
   * hold what they have.
   */
  itemsFor(subject: SubjectKey): readonly EncodedItem[] | null;
  /** Told after a change: of which subjects, or of all. Answers how to stop. */
  onChange(listener: (subjects: readonly SubjectKey[] | 'all') => void): () => void;
}
