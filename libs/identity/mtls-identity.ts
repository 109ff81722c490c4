import { subjectKey } from '@remora/core/subject';
import type { X509Certificate } from 'node:crypto';
import type { NodeIdentity } from './node-identity.ts';
import { readCertificate } from './pem.ts';
import type { RevocationQuestion } from './revocation-facts.ts';
import { subjectOfSpiffeId } from './spiffe-id.ts';
import { verifyChain, type TrustBundle } from './verify-chain.ts';

export interface MtlsTrust {
  readonly bundle: TrustBundle;
  /** Our own issuing certificates: TLS has checked the peer's chain, and shows only its leaf. */
  readonly intermediates: readonly X509Certificate[];
}

/**
 * Believes the client certificate and nothing else: it must lead to a root of the trust domain at this moment, and be of the
 * service and the instance that are claimed. Asked for each stream and each batch, because the handshake may be long ago,
 * and a resumed session was never checked against today's roots.
 */
export function createMtlsIdentity(deps: { readonly trust: () => MtlsTrust; readonly nowMs: () => number; readonly isRevoked?: (certificate: RevocationQuestion) => boolean; readonly onRefused?: (code: string) => void }): NodeIdentity {
  const refused = (code: string, reason: string): { readonly ok: false; readonly reason: string; readonly code: string } => {
    deps.onRefused?.(code);
    return { ok: false, reason, code };
  };
  return {
    name: 'mtls',
    authenticated: true,
    verify(peer, claimed) {
      const [raw] = peer.certificates;
      if (raw === undefined) return refused('no-certificate', 'there is no client certificate');
      const leaf = readCertificate(raw);
      if (leaf === null) return refused('certificate-unreadable', 'the client certificate cannot be read');
      const { bundle, intermediates } = deps.trust();
      const checked = verifyChain({ leaf, intermediates, bundle, nowMs: deps.nowMs(), purpose: 'client' });
      if (!checked.ok) return refused(checked.code, checked.problem);
      const subject = subjectOfSpiffeId(checked.id);
      if (subject === null) return refused('no-workload', `the certificate is of ${checked.id.path.slice(1)}, which is no service or gateway`);
      if (subjectKey(subject) !== subjectKey(claimed.subject)) return refused('other-subject', `the certificate is of ${subjectKey(subject)}, and not of ${subjectKey(claimed.subject)}`);
      if (checked.commonName !== claimed.nodeId) return refused('other-node', `the certificate is of the instance ${checked.commonName}, and not of ${claimed.nodeId}`);
      const { serialNumber: serial, validFromDate } = leaf;
      if (deps.isRevoked?.({ serial, subject: subjectKey(subject), nodeId: claimed.nodeId, fromMs: validFromDate.getTime() })) return refused('certificate-revoked', `the certificate of ${claimed.nodeId} was revoked; a new join token lets it in again`);
      return { ok: true };
    },
  };
}
