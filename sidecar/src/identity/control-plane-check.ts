import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';
import { controlPlaneSpiffeId, formatSpiffeId } from '@remora/identity/spiffe-id';
import { verifyChain } from '@remora/identity/verify-chain';

/** What a control plane is called in a handshake: it is known by its SPIFFE id, whatever its address. */
export const controlPlaneServerName = 'control-plane';

const chainMax = 8;

/**
 * The check of a server's name, for TLS: the certificate must be the control plane's own of the trust domain. Names of hosts
 * do not matter, so that it may move.
 */
export function controlPlaneCheck(trust: { readonly trustDomain: string; readonly roots: readonly X509Certificate[]; readonly nowMs: () => number }): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (_host, certificate) => {
    const [leaf, ...intermediates] = peerChain(certificate as DetailedPeerCertificate).map((raw) => new X509Certificate(raw));
    if (!leaf) return new Error('the control plane showed no certificate');
    const { trustDomain, roots } = trust;
    const checked = verifyChain({ leaf, intermediates, bundle: { trustDomain, roots }, nowMs: trust.nowMs(), purpose: 'server' });
    if (!checked.ok) return new Error(`the control plane's certificate is not believed: ${checked.problem}`);
    const wanted = formatSpiffeId(controlPlaneSpiffeId(trustDomain));
    const found = formatSpiffeId(checked.id);
    return found === wanted ? undefined : new Error(`who answers is ${found}, and not ${wanted}`);
  };
}

/** Leaf first, as the peer sent it; a root is its own issuer. */
export function peerChain(certificate: DetailedPeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (let at: DetailedPeerCertificate | undefined = certificate; at?.raw && chain.length < chainMax; at = at.issuerCertificate) {
    if (chain.some((one) => one.equals(at?.raw ?? one))) break;
    chain.push(at.raw);
  }
  return chain;
}
