import type { Subject } from '@remora/core/subject';

/**
 * Who is at the other end of a push connection. Until identity is built there is one implementation, `claimed`: it
 * believes Hello, is shown as unauthenticated, and is only allowed on loopback.
 */
export interface NodeIdentity {
  readonly name: 'claimed' | 'mtls';
  readonly authenticated: boolean;
  /** Whether this peer may speak for the node and subject that Hello claims. */
  verify(peer: PeerFacts, claimed: { readonly nodeId: string; readonly subject: Subject }): { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly code?: string };
}

export interface PeerFacts {
  readonly address: string;
  /** DER certificates, leaf first; empty without TLS. */
  readonly certificates: readonly Uint8Array[];
}

export const claimedIdentity: NodeIdentity = {
  name: 'claimed',
  authenticated: false,
  verify: () => ({ ok: true }),
};
