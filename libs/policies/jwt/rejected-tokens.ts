/**
 * Tokens of one data thread whose signature was wrong, so that who sends one again and again costs no verification each time. At most `entriesMax`, for
 * `keptMs`, and only as long as the keys are the same: the oldest goes first.
 */
export class RejectedTokens {
  readonly #tokens = new Map<string, { readonly trust: object; readonly untilMs: number }>();

  get size(): number {
    return this.#tokens.size;
  }

  has(text: string, trust: object, nowMs: number): boolean {
    const found = this.#tokens.get(text);
    if (found === undefined) return false;
    if (found.trust === trust && nowMs < found.untilMs) return true;
    this.#tokens.delete(text);
    return false;
  }

  put(text: string, trust: object, nowMs: number): void {
    if (this.#tokens.size >= entriesMax) {
      const [oldest] = this.#tokens.keys();
      if (oldest !== undefined) this.#tokens.delete(oldest);
    }
    this.#tokens.set(text, { trust, untilMs: nowMs + keptMs });
  }
}

const entriesMax = 512;
const keptMs = 10_000;
