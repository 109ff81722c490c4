import type { Random } from '@remora/core/random';

/** Exponential backoff with full jitter: many sidecars that lost the same control plane do not return at once. */
export class Backoff {
  readonly #random: Random;
  readonly #baseMs: number;
  readonly #capMs: number;
  #failures = 0;

  constructor(options: { readonly random: Random; readonly baseMs: number; readonly capMs: number }) {
    this.#random = options.random;
    this.#baseMs = options.baseMs;
    this.#capMs = options.capMs;
  }

  /** Milliseconds to wait before the next try; at least a tenth of the step, so that it never spins. */
  next(): number {
    const step = Math.min(this.#capMs, this.#baseMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return step * (0.1 + 0.9 * this.#random.next());
  }

  reset(): void {
    this.#failures = 0;
  }
}
