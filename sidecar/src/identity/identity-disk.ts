import type { IdentityParts } from './held-identity.ts';

/** Where key and certificates are kept, so that a sidecar that starts again is still who it was. */
export interface IdentityDisk {
  /** What is kept; `problem`: why what is there cannot be used. Never rejects. */
  load(): Promise<{ readonly stored: StoredIdentity; readonly problem: string }>;
  /** Whole or not at all, and durable when it resolves. */
  write(stored: StoredIdentity): Promise<void>;
}

export interface StoredIdentity {
  readonly held: IdentityParts | null;
  /**
   * Key of a first certificate that was asked for and has not come (PKCS #8, DER): asked for again with the same key, a lost
   * answer costs the join token no second use.
   */
  readonly joining: Uint8Array | null;
}
