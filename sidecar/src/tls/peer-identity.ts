import type { X509Certificate } from 'node:crypto';
import { parseSpiffeId } from '@remora/identity/spiffe-id';
import { certificateNames } from './certificate-names.ts';

export type PeerIdentity =
  /** `principal`: the SPIFFE id; '' for a good certificate that has none. */
  | { readonly ok: true; readonly principal: string }
  /** `code` for counting, kebab case. */
  | { readonly ok: false; readonly code: string; readonly problem: string };

/**
 * Who a trusted certificate stands for. Asked once for each connection, resumed ones too: what was true at the full handshake may be over.
 * A certificate with a SPIFFE id follows the rules for X.509-SVIDs: exactly one URI name, canonical, and no certificate of an authority.
 */
export function peerIdentity(certificate: X509Certificate, nowMs: number): PeerIdentity {
  if (certificate.validToDate.getTime() <= nowMs) return refused('client-certificate-expired', 'the certificate has expired');
  if (certificate.validFromDate.getTime() > nowMs) return refused('client-certificate-early', 'the certificate is not valid yet');
  const names = certificateNames(certificate);
  if (typeof names === 'string') return refused('client-certificate-names', names);
  const spiffe = names.uris.filter((uri) => uri.toLowerCase().startsWith('spiffe:'));
  if (spiffe.length === 0) return { ok: true, principal: '' };
  const [id] = names.uris;
  if (names.uris.length !== 1 || id === undefined) return refused('client-certificate-names', 'a certificate with a SPIFFE id has exactly one URI name');
  const parsed = parseSpiffeId(id);
  if (!parsed.ok || parsed.id.path === '') return refused('client-certificate-names', 'its SPIFFE id is not canonical');
  if (certificate.ca) return refused('client-certificate-authority', 'the certificate of an authority is nobody\'s own');
  return { ok: true, principal: id };
}

function refused(code: string, problem: string): PeerIdentity {
  return { ok: false, code, problem };
}
