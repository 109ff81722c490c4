import type { Subject, SubjectKey } from '@remora/core/subject';
import type { SubjectNeeds } from './subject-needs.ts';

/** Everything every sidecar enforces at one state of the documents. Immutable; unchanged subjects are shared with the one before. */
export interface Compilation {
  readonly subjects: ReadonlyMap<SubjectKey, CompiledSubject>;
}

/** Content without a version: a function of the documents and the format only. */
export interface CompiledSubject {
  readonly subject: Subject;
  /** SHA-256 (hex) of `manifest`. */
  readonly hash: string;
  readonly manifest: Uint8Array;
  /** Encoded resources by hash, pages included. Values are shared between subjects and compilations. */
  readonly resources: ReadonlyMap<string, Uint8Array>;
  /** Services whose endpoint sets this subject needs: itself is not among them. Sorted. */
  readonly destinations: readonly string[];
  /** What its sidecars must be told beside it: the settings say so, and it is no part of the content. */
  readonly needs: SubjectNeeds;
}
