import type { Clock, Timer, Timers } from '@remora/core/clock';

/** Tells listeners which names changed: the first change at once, what follows within the window together. */
export class ChangeNotices {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #windowMs: number;
  readonly #listeners = new Set<(names: ReadonlySet<string>) => void>();
  #waiting = new Set<string>();
  #timer: Timer | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(deps: { readonly clock: Clock; readonly timers: Timers; readonly windowMs: number }) {
    this.#clock = deps.clock;
    this.#timers = deps.timers;
    this.#windowMs = deps.windowMs;
  }

  listen(listener: (names: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  add(name: string): void {
    this.#waiting.add(name);
    if (this.#timer) return;
    const delayMs = Math.max(0, this.#lastMs + this.#windowMs - this.#clock.monotonicMs());
    this.#timer = this.#timers.after(delayMs, () => this.#tell());
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#listeners.clear();
  }

  #tell(): void {
    this.#timer = null;
    this.#lastMs = this.#clock.monotonicMs();
    const names = this.#waiting;
    this.#waiting = new Set();
    for (const listener of this.#listeners) listener(names);
  }
}
