import type { CertificateNames } from './consumer-credentials.ts';

/** The certificate of an external client, believed by the listener that it came to. Made once for each connection. */
export interface ClientCertificateFacts extends CertificateNames {
  /** Unix milliseconds. */
  readonly endsMs: number;
}
