/** Measures how late the event loop is; `monitorEventLoopDelay` in production. Costs a wakeup each `resolutionMs` while it is enabled. */
export interface LoopDelay {
  enable(): void;
  disable(): void;
  reset(): void;
  /** Longest time between two of its wakeups since the last reset, nanoseconds. */
  readonly max: number;
}

export interface StallMeterOptions {
  /** [0]: longest stall in milliseconds since the reader last took it. */
  readonly memory: Float64Array;
  readonly delay: LoopDelay;
  readonly resolutionMs: number;
  /** Milliseconds this thread was not idle, since its start. */
  readonly activeMs: () => number;
  readonly monotonicMs: () => number;
  readonly after: (delayMs: number, run: () => void) => void;
}

/**
 * The longest stall of a data thread, written where the control thread reads and clears it. Looking closely costs fifty wakeups a second, so that it is done
 * while the thread works, or has just been told to: an idle thread is looked at once a second, and sees a stall only where it reaches
 * that moment.
 */
export class StallMeter {
  readonly #options: StallMeterOptions;
  #close = false;
  #lookedAt: number;
  #dueAt = 0;
  #activeMs: number;

  constructor(options: StallMeterOptions) {
    this.#options = options;
    this.#lookedAt = options.monotonicMs();
    this.#activeMs = options.activeMs();
    this.#next();
  }

  /** Work that may take long begins. */
  watch(): void {
    if (this.#close) return;
    this.#close = true;
    this.#options.delay.reset();
    this.#options.delay.enable();
  }

  #next(): void {
    this.#dueAt = this.#options.monotonicMs() + (this.#close ? closeLookEveryMs : lookEveryMs);
    this.#options.after(this.#dueAt - this.#options.monotonicMs(), () => {
      this.#look();
      this.#next();
    });
  }

  #look(): void {
    const { delay, resolutionMs, activeMs, monotonicMs } = this.#options;
    const now = monotonicMs();
    const active = activeMs();
    const busy = (active - this.#activeMs) / (now - this.#lookedAt) > busyShare;
    // A wakeup is late by up to a period of its own: that is no stall.
    if (this.#close) this.#note(delay.max / 1e6 - resolutionMs);
    else this.#note(now - this.#dueAt - latenessMs);
    this.#lookedAt = now;
    this.#activeMs = active;
    if (busy) {
      if (this.#close) delay.reset();
      else this.watch();
    } else if (this.#close) {
      this.#close = false;
      delay.disable();
    }
  }

  #note(stallMs: number): void {
    const { memory } = this.#options;
    if (stallMs > (memory[0] ?? 0)) memory[0] = stallMs;
  }
}

const lookEveryMs = 1_000;
const closeLookEveryMs = 250;
/** Above this share of the time the thread counts as working; looking closely takes 0.3 %. */
const busyShare = 0.02;
/** By how much a timer of an idle machine is late. */
const latenessMs = 5;
