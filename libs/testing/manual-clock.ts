import type { Clock } from '@remora/core/clock';

/** Time that stands still until a test moves it. Wall time and monotonic time may be moved apart. */
export class ManualClock implements Clock {
  #wallMs: number;
  #monotonicMs: number;

  constructor(wallMs = Date.UTC(2026, 0, 1), monotonicMs = 1_000_000) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  advance(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
  }

  /** A step of the wall clock alone, as an administrator or NTP makes it. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }
}
