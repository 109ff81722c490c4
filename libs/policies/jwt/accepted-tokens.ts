import type { Json } from '@remora/core/canonical-json';
import type { Field } from '@remora/http/head';
import type { Answer } from '@remora/policy-kit/exchange';
import type { FoundCredential } from '@remora/policy-kit/request-identity';
import type { VerificationKey } from '@remora/policy-kit/tokens/verification-key';

/** A token whose signature was verified, and what the policies that saw it make of it. */
export interface AcceptedToken {
  /** As it came; compared whole. */
  readonly text: string;
  readonly issuer: string;
  readonly type: string;
  readonly claims: Readonly<Record<string, Json>>;
  /** What it was verified with: a key set, or what a consumer had then. While that is what counts, the token is verified. */
  readonly trust: object;
  /** The one of them that signed it. */
  readonly key: VerificationKey;
  readonly algorithm: string;
  readonly judgements: Judgement[];
  /** Seen since the cache last looked for something to forget. */
  used: boolean;
}

/** What one policy makes of a verified token, for as long as nothing that it depends on changes. */
export interface Judgement {
  /** Of the policy as this thread built it. */
  readonly owner: object;
  /** Versions of the facts when it was made. */
  readonly keysVersion: number;
  readonly consumersVersion: number;
  readonly notBeforeMs: number;
  readonly expiresMs: number;
  /** null: it is accepted. */
  readonly failure: Answer | null;
  readonly found: FoundCredential;
  /** Headers from its claims. */
  readonly fields: readonly Field[];
}

/**
 * Verified tokens of one data thread, for all its policies. At most `entriesMax`, and `bytesMax` of text with what was read from it; beyond it, what has not
 * been seen again goes first. Found by the end of the token, which is its signature and as good as random, and compared whole: a token is never taken for another.
 */
export class AcceptedTokens {
  readonly #tokens = new Map<string, AcceptedToken>();
  readonly #limits: { readonly entriesMax: number; readonly bytesMax: number };
  #bytes = 0;

  constructor(limits = { entriesMax: 10_000, bytesMax: 16 * 1024 * 1024 }) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#tokens.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(text: string): AcceptedToken | undefined {
    const found = this.#tokens.get(keyOf(text));
    if (found === undefined || found.text !== text) return undefined;
    found.used = true;
    return found;
  }

  /** Answers how many others had to go for it. */
  put(token: AcceptedToken): number {
    const before = this.#tokens.get(keyOf(token.text));
    if (before !== undefined) this.delete(before);
    this.#tokens.set(keyOf(token.text), token);
    this.#bytes += bytesOf(token);
    let forgotten = 0;
    while (this.#tokens.size > this.#limits.entriesMax || this.#bytes > this.#limits.bytesMax) forgotten += this.#forgetOne(token);
    return forgotten;
  }

  delete(token: AcceptedToken): void {
    const key = keyOf(token.text);
    if (this.#tokens.get(key) !== token) return;
    this.#tokens.delete(key);
    this.#bytes -= bytesOf(token);
  }

  /** The oldest that was not used since it was last looked at (second chance). */
  #forgetOne(newest: AcceptedToken): number {
    for (const [key, token] of this.#tokens) {
      if (token.used && token !== newest) {
        token.used = false;
        this.#tokens.delete(key);
        this.#tokens.set(key, token);
        continue;
      }
      this.delete(token);
      return 1;
    }
    return 0;
  }
}

function keyOf(text: string): string {
  return text.slice(-keyLength);
}

/** Text, claims read from it, and what belongs to it: measured at about this. */
function bytesOf({ text }: AcceptedToken): number {
  return text.length * 4 + 800;
}

const keyLength = 24;
