import type { Answer } from '@remora/policy-kit/exchange';

/** What an authorizer decided, ready to be applied to any request with the same key. */
export type Decision =
  | { readonly kind: 'allowed'; readonly edits: readonly HeaderEdit[]; readonly toClient: readonly HeaderEdit[]; readonly consumer: string }
  | { readonly kind: 'denied'; readonly answer: Answer }
  /** Nobody decided. */
  | { readonly kind: 'failed'; readonly problem: string };

export interface HeaderEdit {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  readonly how: 'set' | 'append' | 'add-if-absent' | 'set-if-present' | 'remove';
}
