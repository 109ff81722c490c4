import type { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import type { TlsHandle } from './node-handles.ts';

/** What a handshake of a link settled, and what the peer showed. To be asked while the link is open. */
export class LinkSecurity {
  readonly #of: tls.TLSSocket | TlsHandle;

  constructor(of: tls.TLSSocket | TlsHandle) {
    this.#of = of;
  }

  /** What ALPN chose, '' for none. */
  get protocol(): string {
    const of = this.#of;
    return (of instanceof tls.TLSSocket ? of.alpnProtocol : of.getALPNNegotiatedProtocol()) || '';
  }

  /** `TLSv1.2` or `TLSv1.3`. */
  get version(): string {
    return this.#of.getProtocol() ?? '';
  }

  get resumed(): boolean {
    return this.#of.isSessionReused();
  }

  /** The certificate that the peer showed, also when it resumes; undefined where it showed none. */
  get peerCertificate(): X509Certificate | undefined {
    const of = this.#of;
    if (of instanceof tls.TLSSocket) return of.getPeerX509Certificate();
    // A handle has a certificate of its own kind, and only a TLSSocket knows how to make one of everybody's of it.
    return tls.TLSSocket.prototype.getPeerX509Certificate.call({ _handle: of } as unknown as tls.TLSSocket);
  }

  /** What the peer showed between its own certificate and a root; none where it resumes. */
  get peerIntermediates(): X509Certificate[] {
    const found: X509Certificate[] = [];
    for (let next = this.peerCertificate?.issuerCertificate; next !== undefined && found.length < intermediatesMax; next = next.issuerCertificate) found.push(next);
    return found;
  }

  /** Why OpenSSL does not trust the peer's chain, as its code such as `CERT_HAS_EXPIRED`; '' where it does. Fails closed. */
  get peerProblem(): string {
    const of = this.#of;
    const handle = of instanceof tls.TLSSocket ? (of as unknown as { readonly ssl: Partial<TlsHandle> | null }).ssl : of;
    if (typeof handle?.verifyError !== 'function') return 'UNKNOWN';
    const error = handle.verifyError();
    return error === null || error === undefined ? '' : (error.code ?? 'UNKNOWN');
  }
}

const intermediatesMax = 8;
