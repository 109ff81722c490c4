import { createHash, sign, verify, type KeyObject } from 'node:crypto';

/**
 * The proof that who renews a certificate has the key of the old one: a signature by the old key over the request for the new
 * one. Replayed it yields nothing but another certificate for the same new key.
 */
export function signRenewal(certificateRequest: Uint8Array, oldKey: KeyObject): Buffer {
  return sign('sha256', message(certificateRequest), oldKey);
}

export function isRenewalProof(certificateRequest: Uint8Array, proof: Uint8Array, oldPublicKey: KeyObject): boolean {
  return verify('sha256', message(certificateRequest), oldPublicKey, proof);
}

/** What is signed is of no other use: handshakes and certificates sign other bytes. */
function message(certificateRequest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('remora renewal 1\n', 'latin1'), createHash('sha256').update(certificateRequest).digest()]);
}
