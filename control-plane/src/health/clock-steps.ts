import type { Clock } from '@remora/core/clock';

/** What counts as a step; slewing adds up to one now and then. */
const stepMs = 1_000;

/** Notices when somebody sets the wall clock: what was to end in ten minutes still ends in ten minutes. */
export class ClockSteps {
  readonly #clock: Clock;
  #aheadMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#aheadMs = clock.wallMs() - clock.monotonicMs();
  }

  /** Unix milliseconds as they were counted before a step that nobody has taken yet. */
  nowMs(): number {
    return this.#clock.wallMs() - this.#by();
  }

  /** How far the wall clock was set since this was last asked, milliseconds; 0 where it was not. */
  take(): number {
    const by = this.#by();
    this.#aheadMs += by;
    return by;
  }

  #by(): number {
    const by = Math.round(this.#clock.wallMs() - this.#clock.monotonicMs() - this.#aheadMs);
    return Math.abs(by) < stepMs ? 0 : by;
  }
}

/** How often it is looked, where something has an end. */
export const lookForStepsMs = 5_000;
