/** What is known of a token that was seen. */
export interface SeenToken {
  /** As it came; compared whole. */
  readonly text: string;
  /** Seen since the cache last looked for something to forget. */
  used: boolean;
}

/**
 * Tokens that one data thread has seen. At most `entriesMax`, and `bytesMax` of text with what was read from it; beyond it, what has not been seen again goes
 * first. Found by the end of the token, which is its signature or as good as random, and compared whole: a token is never taken for another.
 */
export class TokenCache<T extends SeenToken> {
  readonly #tokens = new Map<string, T>();
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

  get(text: string): T | undefined {
    const found = this.#tokens.get(keyOf(text));
    if (found === undefined || found.text !== text) return undefined;
    found.used = true;
    return found;
  }

  /** Answers how many others had to go for it. */
  put(token: T): number {
    const before = this.#tokens.get(keyOf(token.text));
    if (before !== undefined) this.delete(before);
    this.#tokens.set(keyOf(token.text), token);
    this.#bytes += bytesOf(token);
    let forgotten = 0;
    while (this.#tokens.size > this.#limits.entriesMax || this.#bytes > this.#limits.bytesMax) forgotten += this.#forgetOne(token);
    return forgotten;
  }

  delete(token: T): void {
    const key = keyOf(token.text);
    if (this.#tokens.get(key) !== token) return;
    this.#tokens.delete(key);
    this.#bytes -= bytesOf(token);
  }

  /** The oldest that was not used since it was last looked at (second chance). */
  #forgetOne(newest: T): number {
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
function bytesOf({ text }: SeenToken): number {
  return text.length * 4 + 800;
}

const keyLength = 24;
