import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { FactBook } from '@remora/policy-kit/facts';
import { decodeBase64Url } from '@remora/policy-kit/tokens/base64url';

export interface SealOptions {
  /** Of kind `secret`. */
  readonly secrets: FactBook;
  /** The first seals; all of them open. */
  readonly names: readonly string[];
  /** What it is for, and for whom: a cookie of another purpose, place, issuer or client is none. */
  readonly purpose: string;
}

/** Makes and reads the texts of cookies that nobody else can make, read or change: AES-256-GCM, with keys by HKDF-SHA-256 from Secrets. */
export class CookieSeal {
  readonly #options: SealOptions;
  readonly #aad: Buffer;
  #version = -1;
  #keys: readonly Buffer[] = [];
  /** Whether the first of the Secrets is there: with a former one nothing is sealed. */
  #own = false;

  constructor(options: SealOptions) {
    this.#options = options;
    this.#aad = Buffer.from(options.purpose);
  }

  /** Null: the Secret has not come, or is shorter than `secretBytesMin`. */
  seal(value: string): string | null {
    this.#follow();
    const [key] = this.#keys;
    if (key === undefined || !this.#own) return null;
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(this.#aad);
    return Buffer.concat([iv, cipher.update(value), cipher.final(), cipher.getAuthTag()]).toString('base64url');
  }

  /** Null: not ours, or changed. */
  open(text: string): string | null {
    this.#follow();
    const bytes = text.length > textMax ? null : decodeBase64Url(text);
    if (bytes === null || bytes.length < ivBytes + tagBytes) return null;
    for (const key of this.#keys) {
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, ivBytes), { authTagLength: tagBytes }).setAAD(this.#aad).setAuthTag(bytes.subarray(-tagBytes));
        return Buffer.concat([decipher.update(bytes.subarray(ivBytes, -tagBytes)), decipher.final()]).toString();
      } catch {
        // Sealed with another key, or changed: the next key tells.
      }
    }
    return null;
  }

  /** Moves when keys do: what was opened before is opened again. */
  get version(): number {
    return this.#options.secrets.version;
  }

  #follow(): void {
    const { secrets, names } = this.#options;
    if (secrets.version === this.#version) return;
    this.#version = secrets.version;
    const bodies = names.map((name) => secrets.get(name)).map((body) => (body === undefined || body.length < secretBytesMin ? undefined : body));
    this.#own = bodies[0] !== undefined;
    this.#keys = bodies.flatMap((body) => (body === undefined ? [] : [Buffer.from(hkdfSync('sha256', body, 'remora oidcLogin', this.#aad, 32))]));
  }
}

const ivBytes = 12;
const tagBytes = 16;
export const secretBytesMin = 16;
/** What browsers keep of one cookie (RFC 6265 section 6.1). */
export const textMax = 4096;
