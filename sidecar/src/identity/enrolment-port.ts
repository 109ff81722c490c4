import type { X509Certificate } from 'node:crypto';
import type { JoinToken } from '@remora/identity/join-token';
import type { Subject } from '@remora/core/subject';

/** The control planes' side of enrolment, as the keeper of an identity sees it. Never rejects. */
export interface EnrolmentPort {
  join(question: { readonly token: JoinToken; readonly nodeId: string; readonly subject: Subject; readonly request: Uint8Array }): Promise<EnrolmentOutcome>;
  renew(question: { readonly trustDomain: string; readonly roots: readonly X509Certificate[]; readonly chain: readonly X509Certificate[]; readonly request: Uint8Array; readonly proof: Uint8Array }): Promise<EnrolmentOutcome>;
}

export type EnrolmentOutcome =
  | { readonly kind: 'issued'; readonly chain: readonly Uint8Array[]; readonly roots: readonly Uint8Array[]; readonly trustDomain: string; readonly recoverUntilMs: number }
  /** The control plane's own word; `retry`: the same can succeed later. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string; readonly retry: boolean }
  /** Nobody answered who could be believed. */
  | { readonly kind: 'unreachable'; readonly cause: string };
