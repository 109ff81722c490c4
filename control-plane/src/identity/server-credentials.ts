import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { ServerCertificate, ServerMaterial } from './server-certificate.ts';

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type AuthorityListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

/**
 * Credentials of a gRPC server that follow the control plane's certificate: connections that are there stay, new ones meet the
 * new one. `clients`: whether a client must have a certificate of the trust domain to say anything at all.
 */
export function serverCredentials(certificate: ServerCertificate, clients: 'verified' | 'anonymous'): ServerCredentials {
  const provider = new CertificateFeed(certificate);
  // In grpc-js 1.14 the first parameter is named the authority's, and is the server's own; the second is the other one. Tested beside this file.
  return experimental.createCertificateProviderServerCredentials(provider, clients === 'verified' ? provider : null, clients === 'verified');
}

/** Tells grpc-js of each certificate; the first in the next turn. */
class CertificateFeed implements Provider {
  readonly #certificate: ServerCertificate;
  readonly #subscriptions = new Map<AuthorityListener | IdentityListener, { unsubscribe(): void }>();

  constructor(certificate: ServerCertificate) {
    this.#certificate = certificate;
  }

  addCaCertificateListener(listener: AuthorityListener): void {
    this.#add(listener, ({ roots }) => listener({ caCertificate: roots }));
  }

  removeCaCertificateListener(listener: AuthorityListener): void {
    this.#remove(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#add(listener, ({ certificates, key }) => listener({ certificate: certificates, privateKey: key }));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#remove(listener);
  }

  #add(listener: AuthorityListener | IdentityListener, tell: (material: ServerMaterial) => void): void {
    this.#subscriptions.set(listener, this.#certificate.subscribe(tell));
    // Not at once: the server listens to these credentials only after they listened to us. No connection comes before.
    queueMicrotask(() => {
      if (this.#subscriptions.has(listener)) tell(this.#certificate.material);
    });
  }

  #remove(listener: AuthorityListener | IdentityListener): void {
    this.#subscriptions.get(listener)?.unsubscribe();
    this.#subscriptions.delete(listener);
  }
}
