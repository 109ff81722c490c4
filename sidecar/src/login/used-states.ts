import type { Clock } from '@remora/core/clock';

/**
 * States of logins that were ended: each is taken once, whichever data thread has its callback. At most `statesMax`, the oldest go first, within the time for which
 * a login's cookie holds; the issuer takes its code once in any case.
 */
export class UsedStates {
  readonly #clock: Clock;
  /** When each may be forgotten, in order. */
  readonly #until = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#until.size;
  }

  /** False: it was taken before. */
  take(state: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    this.#forget((until) => nowMs >= until);
    if (this.#until.has(state)) return false;
    this.#forget(() => this.#until.size >= statesMax);
    this.#until.set(state, nowMs + keptMs);
    return true;
  }

  /** From the oldest on, for as long as one is to go. */
  #forget(goes: (until: number) => boolean): void {
    for (const [state, until] of this.#until) {
      if (!goes(until)) return;
      this.#until.delete(state);
    }
  }
}

export const statesMax = 20_000;
/** As long as the cookie of a login holds, with something for clocks. */
const keptMs = 660_000;
