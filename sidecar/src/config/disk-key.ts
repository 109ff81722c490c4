import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

/** Bytes that encryption adds: nonce in front, tag behind. */
export const nonceBytes = 12;
export const tagBytes = 16;
const algorithm = 'aes-256-gcm';

/**
 * The key under which files of this sidecar are encrypted: AES-256-GCM, a random nonce for each file that is written, and a key of its own for this purpose (HKDF,
 * RFC 5869), so that the given one may serve others too. What stands in the open in front of the encrypted part is authenticated with it.
 */
export class DiskKey {
  readonly #key: Buffer;
  /** Tells keys apart, and says nothing about them. */
  readonly id: string;

  /** 32 bytes. */
  constructor(key: Buffer) {
    this.#key = Buffer.from(hkdfSync('sha256', key, '', 'remora files of a sidecar', 32));
    this.id = createHash('sha256').update('remora disk key id\n').update(key).digest('hex').slice(0, 16);
  }

  /** `open`: authenticated, not encrypted. The encrypted pieces come in their order, the tag last. */
  * seal(open: Uint8Array, nonce: Uint8Array, pieces: Iterable<Uint8Array>): Generator<Buffer, void, void> {
    const cipher = createCipheriv(algorithm, this.#key, nonce, { authTagLength: tagBytes }).setAAD(open);
    for (const piece of pieces) yield cipher.update(piece);
    yield Buffer.concat([cipher.final(), cipher.getAuthTag()]);
  }

  /** null: encrypted with another key, or changed. `sealed` ends with the tag. */
  open(open: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Buffer | null {
    if (sealed.length < tagBytes) return null;
    const end = sealed.length - tagBytes;
    try {
      const decipher = createDecipheriv(algorithm, this.#key, nonce, { authTagLength: tagBytes }).setAAD(open).setAuthTag(sealed.subarray(end));
      return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]);
    } catch {
      return null;
    }
  }

  newNonce(): Buffer {
    return randomBytes(nonceBytes);
  }
}
