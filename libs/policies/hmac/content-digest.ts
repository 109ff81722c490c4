import { createHash, timingSafeEqual, type Hash } from 'node:crypto';
import type { Head } from '@remora/http/head';
import type { Reason } from '@remora/errors/reason';
import type { Sink, Source } from '@remora/policy-kit/exchange';
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

/** Passes a body on while it is hashed. The end of one that is another never goes on: upstream sees a reset, the client the refusal. */
export class DigestSink implements Sink {
  readonly #next: Sink;
  readonly #hash: Hash;
  readonly #digest: Buffer;
  readonly #reason: Reason;
  readonly #refuse: () => void;
  #from: Source | null = null;
  #wrong = false;

  constructor(next: Sink, { algorithm, digest }: ContentDigest, options: { readonly reason: Reason; readonly refuse: () => void }) {
    this.#next = next;
    this.#hash = createHash(algorithm);
    this.#digest = digest;
    this.#reason = options.reason;
    this.#refuse = options.refuse;
  }

  bind(from: Source): void {
    this.#from = from;
    this.#next.bind(from);
  }

  info(head: Head): void {
    if (!this.#wrong) this.#next.info(head);
  }

  head(head: Head, end: boolean): void {
    if (!this.#wrong) this.#next.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#wrong) return true;
    this.#hash.update(bytes.subarray(at, to));
    return end && !this.#isRight() ? true : this.#next.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    if (!this.#wrong && this.#isRight()) this.#next.trailers(head);
  }

  reset(reason: Reason): void {
    if (!this.#wrong) this.#next.reset(reason);
  }

  #isRight(): boolean {
    if (timingSafeEqual(this.#hash.digest(), this.#digest)) return true;
    this.#wrong = true;
    // The answer first: it names this policy, while a reset that comes back from the call would not.
    this.#refuse();
    this.#next.reset(this.#reason);
    this.#from?.stop(this.#reason);
    return false;
  }
}
