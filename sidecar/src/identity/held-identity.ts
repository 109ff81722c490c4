import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { subjectKey, type Subject } from '@remora/core/subject';
import { readCertificate } from '@remora/identity/pem';
import { formatSpiffeId, subjectSpiffeId } from '@remora/identity/spiffe-id';
import { verifyChain } from '@remora/identity/verify-chain';

/** Who this sidecar is, and how it proves it: checked against itself. */
export interface HeldIdentity {
  readonly trustDomain: string;
  readonly spiffeId: string;
  readonly key: KeyObject;
  /** Leaf first, without roots. */
  readonly chain: readonly X509Certificate[];
  /** All that count. While roots roll, our own may be gone from them: then the certificate is renewed at once. */
  readonly roots: readonly X509Certificate[];
  /** The one that our chain leads to. */
  readonly root: X509Certificate;
  readonly fromMs: number;
  readonly endsMs: number;
  /** Until then the certificate can be renewed, although it ended. */
  readonly recoverUntilMs: number;
}

/** The same as bytes: on the disk, and as it comes from the control plane. */
export interface IdentityParts {
  /** PKCS #8, DER. */
  readonly key: Uint8Array;
  /** DER. */
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly trustDomain: string;
  readonly recoverUntilMs: number;
  /** The root of the chain, where it is not among the roots any more. */
  readonly ownRoot?: Uint8Array;
  /** The pin of the join token that it all began with: roots roll, and the token names what it named. */
  readonly joinedPin?: string;
}

/**
 * Checks that the parts belong together and are this instance's: the key is the certificate's, the chain leads to one of the
 * roots, service and instance are ours. One that has ended is good here: it can be renewed. So is one of which this host's clock
 * thinks that it begins later: what others think of it counts. A sentence says what is wrong.
 */
export function holdIdentity(parts: IdentityParts, own: { readonly subject: Subject; readonly nodeId: string; readonly nowMs: number }): HeldIdentity | string {
  const chain = parts.chain.map((raw) => readCertificate(raw)).filter((one) => one !== null);
  const roots = parts.roots.map((raw) => readCertificate(raw)).filter((one) => one !== null);
  const ownRoot = parts.ownRoot && readCertificate(parts.ownRoot);
  const [leaf, ...intermediates] = chain;
  const key = readKey(parts.key);
  if (!leaf || key === null || chain.length !== parts.chain.length || roots.length !== parts.roots.length) return 'it cannot be read';
  if (!leaf.checkPrivateKey(key)) return 'the key is not that of the certificate';
  const endsMs = leaf.validToDate.getTime();
  const fromMs = leaf.validFromDate.getTime();
  // Where it has ended, or a clock that is behind says that it is not good yet, it is judged as of its last or first moment.
  const nowMs = Math.max(fromMs, Math.min(own.nowMs, endsMs - 1));
  const checked = verifyChain({ leaf, intermediates, bundle: { trustDomain: parts.trustDomain, roots: ownRoot ? [...roots, ownRoot] : roots }, nowMs, purpose: 'client' });
  if (!checked.ok) return checked.problem;
  const spiffeId = formatSpiffeId(subjectSpiffeId(parts.trustDomain, own.subject));
  if (formatSpiffeId(checked.id) !== spiffeId) return `it is for ${checked.id.path.slice(1)}, and this sidecar runs for ${subjectKey(own.subject)}`;
  if (checked.commonName !== own.nodeId) return `it is for the instance ${checked.commonName}, and this is ${own.nodeId}`;
  return { trustDomain: parts.trustDomain, spiffeId, key, chain, roots, root: checked.root, fromMs, endsMs, recoverUntilMs: parts.recoverUntilMs };
}

function readKey(der: Uint8Array): KeyObject | null {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
  } catch {
    return null;
  }
}
