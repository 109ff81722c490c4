import type { X509Certificate } from 'node:crypto';
import { certificateFacts, keyUsageBits } from '@remora/identity/certificate-facts';
import { readCertificate } from '@remora/identity/pem';

/**
 * The roots of a trust bundle: each signed by its own key, allowed to sign others, and at least one of them good at this moment. A sentence says what is wrong:
 * one that cannot be used makes the bundle unusable, because it is not what its author meant.
 */
export function readRoots(raws: readonly Uint8Array[], nowMs: number): readonly X509Certificate[] | string {
  const roots: X509Certificate[] = [];
  for (const [at, raw] of raws.entries()) {
    const root = readCertificate(raw);
    if (root === null) return `root ${at + 1} of the bundle cannot be read`;
    const facts = certificateFacts(root);
    if (typeof facts === 'string') return `root ${at + 1} of the bundle cannot be used: ${facts}`;
    const maySign = facts.isAuthority && (facts.keyUsage === null || (facts.keyUsage & keyUsageBits.keyCertSign) !== 0);
    if (!maySign || !root.checkIssued(root) || !root.verify(root.publicKey)) return `root ${at + 1} of the bundle is no root: an authority that signed itself is expected`;
    roots.push(root);
  }
  if (roots.length === 0) return 'the bundle has no roots';
  if (!roots.some(({ validFromDate, validToDate }) => validFromDate.getTime() <= nowMs && nowMs < validToDate.getTime())) return 'no root of the bundle is good at this moment; is a clock wrong?';
  return roots;
}
