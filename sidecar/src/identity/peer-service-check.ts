import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';
import { formatSpiffeId } from '@remora/identity/spiffe-id';
import { verifyChain } from '@remora/identity/verify-chain';
import { peerChain } from './control-plane-check.ts';

/** The check of a server's name, for TLS to an instance of a service: its certificate must be for that service of the trust domain, whatever its address. */
export function peerServiceCheck(trust: { readonly service: string; readonly trustDomain: string; readonly roots: readonly X509Certificate[]; readonly nowMs: () => number }): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (_host, certificate) => {
    const [leaf, ...intermediates] = peerChain(certificate as DetailedPeerCertificate).map((raw) => new X509Certificate(raw));
    if (!leaf) return new Error('it showed no certificate');
    const { trustDomain, roots, service } = trust;
    const checked = verifyChain({ leaf, intermediates, bundle: { trustDomain, roots }, nowMs: trust.nowMs(), purpose: 'server' });
    if (!checked.ok) return new Error(`its certificate is not believed: ${checked.problem}`);
    const found = formatSpiffeId(checked.id);
    const wanted = `spiffe://${trustDomain}/service/${service}`;
    return found === wanted ? undefined : new Error(`it is of ${found}, wanted was ${wanted}`);
  };
}
