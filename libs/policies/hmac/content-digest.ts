import { createHash, timingSafeEqual, type Hash } from 'node:crypto';
import type { BodyCheck } from '@remora/policy-kit/checked-sink';
import { readByteMember } from './signature-input.ts';

/** What a body must hash to (RFC 9530). */
export interface ContentDigest {
  readonly algorithm: 'sha256' | 'sha512';
  readonly digest: Buffer;
}

/** The strongest digest that a field names; null where it is none that is understood. */
export function readContentDigest(value: string): ContentDigest | null {
  for (const [label, algorithm, length] of known) {
    const digest = readByteMember(value, label);
    if (digest?.length === length) return { algorithm, digest };
  }
  return null;
}

const known = [['sha-512', 'sha512', 64], ['sha-256', 'sha256', 32]] as const;

export function matchesDigest({ algorithm, digest }: ContentDigest, body: Uint8Array): boolean {
  return timingSafeEqual(createHash(algorithm).update(body).digest(), digest);
}

/** Hashes a body while it passes: the end of one that is another never goes on. */
export class DigestCheck implements BodyCheck {
  readonly #hash: Hash;
  readonly #digest: Buffer;

  constructor({ algorithm, digest }: ContentDigest) {
    this.#hash = createHash(algorithm);
    this.#digest = digest;
  }

  passes(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    this.#hash.update(bytes.subarray(at, to));
    return !end || this.endsWell();
  }

  endsWell(): boolean {
    return timingSafeEqual(this.#hash.digest(), this.#digest);
  }
}
