/**
 * Whether a store is asked, by one data thread: not while it fails. After `failuresMax` failures in a row nobody waits for it for a moment, which doubles up
 * to `openMaxMs`; then one question that nobody waits for tries whether it answers again. Pure: time and chance are given.
 */
export class StoreHealth {
  #failures = 0;
  #openForMs = 0;
  #tryAt = 0;
  #trying = false;

  get open(): boolean {
    return this.#failures >= failuresMax;
  }

  /** Whether to send the one question that tries; `succeeded` or `failed` must follow. */
  shouldTry(nowMs: number): boolean {
    if (!this.open || this.#trying || nowMs < this.#tryAt) return false;
    this.#trying = true;
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#openForMs = 0;
    this.#trying = false;
  }

  /** `random`: from 0 to 1, so that sidecars do not come back together. Answers whether it closed the door just now. */
  failed(nowMs: number, random: number): boolean {
    const before = this.open;
    if (before && !this.#trying) return false;
    this.#trying = false;
    this.#failures += 1;
    if (!this.open) return false;
    this.#openForMs = this.#openForMs === 0 ? openMinMs : Math.min(openMaxMs, this.#openForMs * 2);
    this.#tryAt = nowMs + this.#openForMs * (0.5 + random / 2);
    return !before;
  }
}

export const failuresMax = 3;
const openMinMs = 200;
const openMaxMs = 5_000;
