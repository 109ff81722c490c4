import type { Json } from '@remora/core/canonical-json';
import type { Field } from '@remora/http/head';
import type { Answer } from '@remora/policy-kit/exchange';
import type { FoundCredential } from '@remora/policy-kit/request-identity';
import type { VerificationKey } from '@remora/policy-kit/tokens/verification-key';

/** A token whose signature was verified, and what the policies that saw it make of it. */
export interface AcceptedToken {
  /** As it came; compared whole. */
  readonly text: string;
  readonly issuer: string;
  readonly type: string;
  readonly claims: Readonly<Record<string, Json>>;
  /** What it was verified with: a key set, or what a consumer had then. While that is what counts, the token is verified. */
  readonly trust: object;
  /** The one of them that signed it. */
  readonly key: VerificationKey;
  readonly algorithm: string;
  readonly judgements: Judgement[];
  /** Seen since the cache last looked for something to forget. */
  used: boolean;
}

/** What one policy makes of a verified token, for as long as nothing that it depends on changes. */
export interface Judgement {
  /** Of the policy as this thread built it. */
  readonly owner: object;
  /** Versions of the facts when it was made. */
  readonly keysVersion: number;
  readonly consumersVersion: number;
  readonly notBeforeMs: number;
  readonly expiresMs: number;
  /** null: it is accepted. */
  readonly failure: Answer | null;
  readonly found: FoundCredential;
  /** Headers from its claims. */
  readonly fields: readonly Field[];
}
