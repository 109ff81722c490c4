import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';

/** Why a write was not made. Codes are stable and reach the API; statuses are theirs there. */
export const writeErrorStatus = {
  'documents-refused': 422,
  'etag-mismatch': 412,
  'empty-prune': 422,
  guard: 409,
  'idempotency-key-reused': 422,
  'not-found': 404,
  'owned-by-canary': 409,
  'nothing-to-revert': 409,
  'plan-differs': 409,
  referred: 409,
  'revert-conflict': 409,
  'unknown-guard': 400,
  'write-contended': 503,
  'write-queue-full': 503,
  stopping: 503,
} as const;

export type WriteErrorCode = keyof typeof writeErrorStatus;

/** A refused write. Nothing of it is in the store. */
export class WriteError extends Error {
  readonly code: WriteErrorCode;
  /** Everything that is wrong, where the documents are. */
  readonly violations: readonly Violation[];
  /** More facts for programs: the guards, the referrers, what changed since. */
  readonly facts: JsonObject;

  constructor(code: WriteErrorCode, message: string, more: { readonly violations?: readonly Violation[]; readonly facts?: JsonObject } = {}) {
    super(message);
    this.name = 'WriteError';
    this.code = code;
    this.violations = more.violations ?? [];
    this.facts = more.facts ?? {};
  }
}
