import type { BudgetLimits } from './http2-limits.ts';

/** How much of something a peer may still do: refilled with time, and by `earn`. */
export class TokenBudget {
  readonly #limits: BudgetLimits;
  #tokens: number;
  #at: number;

  constructor(limits: BudgetLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokens = limits.burst;
    this.#at = nowMs;
  }

  /** False: the budget is exceeded. */
  spend(nowMs: number): boolean {
    if (this.#tokens < 1) {
      this.#tokens = Math.min(this.#limits.burst, this.#tokens + ((nowMs - this.#at) * this.#limits.perSecond) / 1000);
      this.#at = nowMs;
      if (this.#tokens < 1) return false;
    } else if (this.#tokens === this.#limits.burst) this.#at = nowMs;
    this.#tokens--;
    return true;
  }

  earn(tokens: number): void {
    this.#tokens = Math.min(this.#limits.burst, this.#tokens + tokens);
  }
}
