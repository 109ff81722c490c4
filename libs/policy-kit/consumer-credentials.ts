import type { ConsumerFacts } from './request-identity.ts';

/** Something that proves who a consumer is. Who uses it looks at `expiresMs`. */
export interface ConsumerCredential {
  readonly consumer: ConsumerFacts;
  /** As operators know it; no secret. */
  readonly id: string;
  /** Unix milliseconds; Infinity: never. */
  readonly expiresMs: number;
}

export interface ConsumerPassword extends ConsumerCredential {
  readonly user: string;
  /** Parameters of scrypt (RFC 7914). */
  readonly salt: Uint8Array;
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly hash: Uint8Array;
}

/** A key that signs requests or tokens. */
export interface ConsumerSigningKey extends ConsumerCredential {
  readonly keyId: string;
  readonly algorithm: string;
  /** A shared secret as it is, or a public key as DER (SubjectPublicKeyInfo). */
  readonly key: Uint8Array;
  /** Of tokens: the only issuer that they may name. '' for keys that sign requests. */
  readonly issuer: string;
}

/** How certificates are recognised, the surest first. */
export const certificateMatches = ['fingerprint', 'uri', 'dns', 'email', 'subject'] as const;
export type CertificateMatch = (typeof certificateMatches)[number];

/** What a client's certificate says. Its issuer is believed already. */
export interface CertificateNames {
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string;
  /** Distinguished name as in RFC 4514, `CN=partner,O=Shop`. */
  readonly subject: string;
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  readonly emails: readonly string[];
}
