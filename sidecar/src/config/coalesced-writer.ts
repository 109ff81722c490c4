import type { Timer, Timers } from '@remora/core/clock';

/**
 * Writes the newest value at most once per interval. A failed write is tried again after the interval; while one runs
 * (a disk may hang) newer values replace each other.
 */
export class CoalescedWriter<T> {
  readonly #write: (value: T) => Promise<void>;
  readonly #timers: Timers;
  readonly #intervalMs: number;
  #next: { readonly value: T } | null = null;
  #timer: Timer | null = null;
  #running: Promise<void> | null = null;
  #alarm: string | null = null;

  constructor(options: { readonly write: (value: T) => Promise<void>; readonly timers: Timers; readonly intervalMs: number }) {
    this.#write = options.write;
    this.#timers = options.timers;
    this.#intervalMs = options.intervalMs;
  }

  /** Whether the value given last is written. */
  get persisted(): boolean {
    return this.#next === null && this.#running === null && this.#alarm === null;
  }

  get alarm(): string | null {
    return this.#alarm;
  }

  put(value: T): void {
    this.#next = { value };
    this.#schedule();
  }

  /** Writes what waits now. Resolves when it is written or has failed. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    await this.#running;
    if (this.#next) await this.#run();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#next = null;
  }

  #schedule(): void {
    if (this.#timer || this.#running) return;
    this.#timer = this.#timers.after(this.#intervalMs, () => {
      this.#timer = null;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    const next = this.#next;
    if (!next || this.#running) return;
    this.#next = null;
    this.#running = this.#attempt(next);
    await this.#running;
    this.#running = null;
    if (this.#next) this.#schedule();
  }

  async #attempt(next: { readonly value: T }): Promise<void> {
    try {
      await this.#write(next.value);
      this.#alarm = null;
    } catch (error) {
      this.#alarm = error instanceof Error ? error.message : String(error);
      this.#next ??= next;
    }
  }
}
