import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import { IdentityError } from './identity-error.ts';

/** Keeps private keys for the store: encrypted, or as they are where that was asked for. */
export interface Sealer {
  /** false: whoever reads the store has its keys. */
  readonly encrypts: boolean;
  /** `purpose` is bound to what is sealed: it opens for nothing else. */
  seal(purpose: string, secret: Uint8Array): JsonObject;
  /** Whether it was sealed as it would be now: with this key. */
  isCurrent(sealed: JsonObject): boolean;
  /** Throws IdentityError `no-key`, `wrong-key`, or `bad-key` where it was changed. */
  open(purpose: string, sealed: JsonObject): Buffer;
}

/** AES-256-GCM with a key of its own for each purpose (HKDF, RFC 5869) and a random nonce each time; null: without encryption. */
export function createSealer(key: Buffer | null): Sealer {
  return key === null ? plainSealer : encryptingSealer(key);
}

const cipherName = 'aes-256-gcm';

function encryptingSealer(key: Buffer): Sealer {
  const keyId = createHash('sha256').update('remora key id\n').update(key).digest('hex').slice(0, 16);
  const keyFor = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', key, '', `remora ${purpose}`, 32));
  return {
    encrypts: true,
    isCurrent: (sealed) => sealed['cipher'] === cipherName && sealed['key'] === keyId,
    seal(purpose, secret) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv(cipherName, keyFor(purpose), nonce).setAAD(Buffer.from(purpose));
      const data = Buffer.concat([cipher.update(secret), cipher.final()]);
      return { cipher: cipherName, key: keyId, nonce: nonce.toString('base64'), tag: cipher.getAuthTag().toString('base64'), data: data.toString('base64') };
    },
    open(purpose, sealed) {
      if (sealed['cipher'] === plainName) return plainSealer.open(purpose, sealed);
      if (sealed['cipher'] !== cipherName) throw new IdentityError('bad-key', `${purpose}: sealed in a way that this version does not know`);
      if (sealed['key'] !== keyId) throw new IdentityError('wrong-key', `${purpose}: sealed with another encryption key (its id is ${text(sealed, 'key').slice(0, 16)}, that of the given one ${keyId})`);
      try {
        const decipher = createDecipheriv(cipherName, keyFor(purpose), bytes(sealed, 'nonce'), { authTagLength: 16 }).setAAD(Buffer.from(purpose)).setAuthTag(bytes(sealed, 'tag'));
        return Buffer.concat([decipher.update(bytes(sealed, 'data')), decipher.final()]);
      } catch (error) {
        throw new IdentityError('bad-key', `${purpose}: what is in the store was changed or is damaged`, { cause: error });
      }
    },
  };
}

const plainName = 'none';

const plainSealer: Sealer = {
  encrypts: false,
  isCurrent: (sealed) => sealed['cipher'] === plainName,
  seal: (_purpose, secret) => ({ cipher: plainName, data: Buffer.from(secret).toString('base64') }),
  open(purpose, sealed) {
    if (sealed['cipher'] !== plainName) throw new IdentityError('no-key', `${purpose}: is encrypted in the store, and no encryption key is given`);
    return bytes(sealed, 'data');
  },
};

function text(sealed: JsonObject, name: string): string {
  const value = sealed[name];
  return typeof value === 'string' ? value : '';
}

function bytes(sealed: JsonObject, name: string): Buffer {
  return Buffer.from(text(sealed, name), 'base64');
}
