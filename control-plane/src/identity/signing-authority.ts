import { createPrivateKey, generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto';
import { rootProfile, svidProfile } from '@remora/identity/certificate-profile';
import { issueCertificate } from '@remora/identity/issue-certificate';
import { readCertificates } from '@remora/identity/pem';
import { verifyChain } from '@remora/identity/verify-chain';

/** What signs the certificates of a trust domain. */
export interface SigningAuthority {
  readonly trustDomain: string;
  readonly source: 'generated' | 'files';
  /** The certificate of `key`. */
  readonly issuer: X509Certificate;
  readonly key: KeyObject;
  /** What goes with each leaf, the issuer first, without roots; empty where the issuer is a root itself. */
  readonly intermediates: readonly X509Certificate[];
  /** The one that the issuer leads to first; others count beside it. */
  readonly roots: readonly X509Certificate[];
}

/** A root of its own. ECDSA P-256. */
export function generateAuthority(trustDomain: string, nowMs: number): SigningAuthority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const root = issueCertificate(rootProfile({ trustDomain, nowMs }), publicKey.export({ type: 'spki', format: 'der' }), { certificate: null, key: privateKey });
  return { trustDomain, source: 'generated', issuer: root, key: privateKey, intermediates: [], roots: [root] };
}

/**
 * An authority of somebody else's making: the certificate that signs first, then what leads to the root, the root too. A string
 * says what is wrong. The proof is a certificate made for the purpose and verified as a sidecar would.
 */
export function authorityFromFiles(files: { readonly certificates: string; readonly key: string; readonly trustDomain: string; readonly nowMs: number }): SigningAuthority | string {
  const certificates = readCertificates(files.certificates);
  if (typeof certificates === 'string') return `the certificates of the authority: ${certificates}`;
  const [issuer] = certificates;
  const key = readKey(files.key);
  if (issuer === undefined || key === null) return 'the key of the authority cannot be read: a private key in PEM without a passphrase is expected';
  if (!issuer.checkPrivateKey(key)) return 'the key of the authority does not belong to the first of its certificates';
  const isRoot = (one: X509Certificate): boolean => one.checkIssued(one);
  if (!issuer.ca) return 'the first of the certificates is not that of an authority: it may not sign others';
  const roots = certificates.filter(isRoot);
  if (roots.length === 0) return 'the certificates of the authority do not end in a root: the certificate that is signed by its own key is missing';
  const authority: SigningAuthority = { trustDomain: files.trustDomain, source: 'files', issuer, key, intermediates: certificates.filter((one) => !isRoot(one)), roots };
  const root = probe(authority, files.nowMs);
  if (typeof root === 'string') return `the authority cannot issue certificates that others would take: ${root}`;
  return { ...authority, roots: [root, ...roots.filter((one) => one !== root)] };
}

/** The root that a certificate made for the purpose leads to; or what is wrong. */
function probe(authority: SigningAuthority, nowMs: number): X509Certificate | string {
  const { trustDomain, issuer, intermediates, roots } = authority;
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const profile = svidProfile({ trustDomain, subject: { kind: 'service', name: 'probe' }, nodeId: 'probe', nowMs, authorityEndsMs: issuer.validToDate.getTime() });
  try {
    const leaf = issueCertificate(profile, publicKey.export({ type: 'spki', format: 'der' }), { certificate: issuer, key: authority.key });
    const checked = verifyChain({ leaf, intermediates, bundle: { trustDomain, roots }, nowMs, purpose: 'client' });
    return checked.ok ? checked.root : checked.problem;
  } catch (error) {
    return (error as Error).message;
  }
}

function readKey(text: string): KeyObject | null {
  try {
    return createPrivateKey(text);
  } catch {
    return null;
  }
}

/** When the first of what signs ends: no certificate is good for longer. */
export function authorityEndsMs({ issuer, intermediates, roots }: SigningAuthority): number {
  return Math.min(...[issuer, ...intermediates, ...roots.slice(0, 1)].map((one) => one.validToDate.getTime()));
}
