import type { Violation } from '@remora/core/violation';
import type { DocumentChange, DocumentKey, StoredDocument } from '../store/store.ts';
import type { Intent } from './intended-changes.ts';

/** What parts of the control plane have claimed for themselves for a while, so that no other write may touch it. */
export interface WriteClaims {
  /**
   * Throws WriteError where a change touches what somebody else has; answers what else is wrong with the changed documents then. `documents`: as they would be.
   * `claimant`: who writes, where that is one of those that have something; '' for everybody else.
   */
  check(write: { readonly intent: Intent; readonly changes: readonly DocumentChange[]; readonly documents: ReadonlyMap<DocumentKey, StoredDocument>; readonly claimant: string }): Violation[];
}
