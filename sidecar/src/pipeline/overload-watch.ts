import type { Clock, Timers } from '@remora/core/clock';
import { Overload } from './overload.ts';

/** What a data thread can say about itself. */
export interface ThreadVitals {
  /** Of the limit on memory, heap or resident, whichever is nearer: 0 to 1. May cost some microseconds. */
  memoryShare(): number;
  /** Of the connections that the descriptors allow: 0 to 1. */
  connectionShare(): number;
  /** Requests since the start: an idle thread is looked at rarely. */
  requests(): number;
}

/**
 * Looks at a thread while it has connections: ten times a second under load, once a second when idle. How late its own timer comes is how
 * long the event loop was busy.
 */
export class OverloadWatch {
  readonly overload: Overload;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #vitals: ThreadVitals;
  readonly #onStage: (stage: number) => void;
  #timer: { cancel(): void } | null = null;
  #dueAt = 0;
  #requests = 0;
  #memory = 0;
  #memoryAt = -Infinity;

  constructor(clock: Clock, timers: Timers, vitals: ThreadVitals, onStage: (stage: number) => void) {
    this.#clock = clock;
    this.#timers = timers;
    this.#vitals = vitals;
    this.#onStage = onStage;
    this.overload = new Overload();
  }

  /** Idempotent; called when a connection opens. */
  start(): void {
    if (this.#timer === null) this.#arm(busyMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(delayMs: number): void {
    this.#dueAt = this.#clock.monotonicMs() + delayMs;
    this.#timer = this.#timers.after(delayMs, () => this.#look());
  }

  #look(): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#memoryAt >= memoryEveryMs) {
      this.#memoryAt = now;
      this.#memory = this.#vitals.memoryShare();
    }
    const connections = this.#vitals.connectionShare();
    const { stage } = this.overload;
    this.overload.observe({ delayMs: Math.max(0, now - this.#dueAt), memory: this.#memory, connections }, now);
    if (this.overload.stage !== stage) this.#onStage(this.overload.stage);
    this.#timer = null;
    if (connections === 0 && this.overload.stage === 0) return;
    const requests = this.#vitals.requests();
    const busy = requests !== this.#requests || this.overload.stage > 0;
    this.#requests = requests;
    this.#arm(busy ? busyMs : idleMs);
  }
}

const busyMs = 100;
const idleMs = 1000;
const memoryEveryMs = 500;
