import type { Clock } from '@remora/core/clock';
import type { LoginAnswer } from '@remora/policy-kit/tokens/login-question';

interface Kept {
  readonly answer: Promise<LoginAnswer>;
  readonly at: number;
  bytes: number;
}

/**
 * Refreshes by what they are for: threads and requests with the same refresh token get the same answer, since many issuers take one once only, and requests with
 * the cookie of before come a little later than its refresh. At most `refreshesMax`, and `bytesMax` of tokens; the oldest go first.
 */
export class KeptRefreshes {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Promise<LoginAnswer> | undefined {
    this.#forget();
    return this.#kept.get(key)?.answer;
  }

  /** An answer that nobody gave is not kept. */
  put(key: string, answer: Promise<LoginAnswer>): void {
    const kept: Kept = { answer, at: this.#clock.monotonicMs(), bytes: 0 };
    this.#kept.set(key, kept);
    void answer.then((made) => {
      if (this.#kept.get(key) !== kept) return;
      if (made.outcome === 'tokens') {
        kept.bytes = made.idToken.length + made.refreshToken.length + made.scope.length;
        this.#bytes += kept.bytes;
      } else if (made.outcome !== 'refused') this.#delete(key, kept);
      this.#forget();
    });
  }

  #forget(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [key, kept] of this.#kept) {
      if (nowMs - kept.at < keptMs && this.#kept.size <= refreshesMax && this.#bytes <= bytesMax) return;
      this.#delete(key, kept);
    }
  }

  #delete(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#bytes -= kept.bytes;
  }
}

const keptMs = 30_000;
export const refreshesMax = 4_096;
export const bytesMax = 16 * 1024 * 1024;
