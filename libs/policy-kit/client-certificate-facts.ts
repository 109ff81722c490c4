import type { CertificateNames } from './consumer-credentials.ts';

/** The certificate of an external client, believed by the listener that it came to. Made once for each connection. */
export interface ClientCertificateFacts extends CertificateNames {
  /** Unix milliseconds. */
  readonly endsMs: number;
  /** 40 hexadecimal digits; '' for one that is longer than the standard allows. */
  readonly serial: string;
  /** SHA-256 of the issuer's Name as encoded, hexadecimal. */
  readonly issuerHash: string;
  /** Hexadecimal; '' where the certificate does not name the key of its issuer. */
  readonly issuerKeyId: string;
}
