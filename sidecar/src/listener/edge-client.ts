import type { X509Certificate } from 'node:crypto';
import type { ClientCertificateFacts } from '@remora/policy-kit/client-certificate-facts';
import type { ListenerTls } from '@remora/snapshot/snapshot';
import type { LinkSecurity } from '../io/link-security.ts';
import { clientCertificateFacts } from '../tls/client-certificate.ts';
import type { MeshIdentity } from '../tls/mesh-identity.ts';
import { peerIdentity } from '../tls/peer-identity.ts';

/** Who is behind a handshake with a listener of a gateway. */
export type EdgeClient =
  /** `principal`: a SPIFFE id, or ''. `certificate`: null where the mesh vouches for it, policies hear of the principal only. */
  | { readonly ok: true; readonly principal: string; readonly certificate: ClientCertificateFacts | null }
  /** `code` for counting, kebab case. */
  | { readonly ok: false; readonly code: string };

/** Null: nobody known, and nobody has to be. */
export function edgeClient(security: LinkSecurity | null, clientAuth: ListenerTls['clientAuth'], { identity, nowMs }: { readonly identity: MeshIdentity; readonly nowMs: number }): EdgeClient | null {
  if (clientAuth === 'none') return null;
  const certificate = security?.peerCertificate;
  if (certificate === undefined) return clientAuth === 'optional' ? null : { ok: false, code: 'client-certificate-missing' };
  if (security?.peerProblem !== '') return { ok: false, code: 'client-certificate-untrusted' };
  const peer = peerIdentity(certificate, nowMs);
  if (!peer.ok) return peer;
  const { principal } = peer;
  if (vouchedByMesh(certificate, principal, identity, nowMs)) return { ok: true, principal, certificate: null };
  const { trustDomain } = identity.own ?? { trustDomain: '' };
  // An id of the own trust domain is the mesh's to give: an authority from outside cannot make callers of ours.
  const forged = trustDomain !== '' && principal.startsWith(`spiffe://${trustDomain}/`);
  return { ok: true, principal: forged ? '' : principal, certificate: clientCertificateFacts(certificate) };
}

/** A certificate of the mesh, shown to a listener that believes the same authority. Its chain is followed each time: a resumed session leads to whom the listener believes. */
function vouchedByMesh(certificate: X509Certificate, principal: string, identity: MeshIdentity, nowMs: number): boolean {
  if (principal === '' || identity.own === null) return false;
  return identity.verify({ certificate, intermediates: [], purpose: 'client', nowMs, trustDomains: [] }).ok;
}
