import type { DocumentChange, DocumentKey, StoredDocument } from '../store/store.ts';
import type { Intent } from './intended-changes.ts';

/** What whoever writes may write: asked at each place where a write could do more. Its refusals are thrown, and reach the API as they are. */
export interface WriteAuthority {
  /** Of the documents that the intent names itself, as they are and as they would be: before anything is said about them. */
  checkIntent(intent: Intent, current: ReadonlyMap<DocumentKey, StoredDocument>): void;
  /** Of every change that follows from it, both versions. */
  checkChanges(intent: Intent, changes: readonly DocumentChange[]): void;
  /** Whether guards may be lifted for a service or gateway. */
  mayForce(subject: string): boolean;
}
