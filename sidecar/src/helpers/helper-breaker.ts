import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import { Backoff } from '../config/backoff.ts';

/** Keeps from asking somebody who does not answer: after `failuresMax` failures in a row for 1 s, doubling up to 30 s, with jitter; then one question at a time tries. */
export class HelperBreaker {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #failures = 0;
  #openUntil = 0;
  #trying = false;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#backoff = new Backoff({ random, baseMs: 1_000, capMs: 30_000 });
  }

  /** Whether a question may go out; then `record` is called with what came of it. */
  lets(): boolean {
    if (this.#failures < failuresMax) return true;
    if (this.#trying || this.#clock.monotonicMs() < this.#openUntil) return false;
    this.#trying = true;
    return true;
  }

  record(answered: boolean): void {
    this.#trying = false;
    if (answered) {
      this.#failures = 0;
      this.#backoff.reset();
      return;
    }
    this.#failures++;
    if (this.#failures >= failuresMax) this.#openUntil = this.#clock.monotonicMs() + this.#backoff.next();
  }
}

const failuresMax = 5;
