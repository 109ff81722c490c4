import type { HealthEvent } from '@remora/policy-kit/health-event';

/** With the policy that set what decided; '' where it was a default. */
export interface ReportedHealth extends HealthEvent {
  readonly policy: string;
}

/** New since the last report. */
export interface HealthReport {
  readonly events: readonly ReportedHealth[];
  /** Events that found no room: kinds report changes of state, so this is many hosts at once. */
  readonly dropped: number;
}

/** Health events on their way to the control thread: posted together at most every 50 ms, at most 256 at a time. */
export class HealthBatch {
  readonly #post: (report: HealthReport) => void;
  readonly #after: (delayMs: number, run: () => void) => void;
  #events: ReportedHealth[] = [];
  #dropped = 0;

  constructor(post: (report: HealthReport) => void, after: (delayMs: number, run: () => void) => void) {
    this.#post = post;
    this.#after = after;
  }

  add(event: ReportedHealth): void {
    if (this.#events.length === 0 && this.#dropped === 0) this.#after(flushMs, () => this.flush());
    if (this.#events.length < batchMax) this.#events.push(event);
    else this.#dropped++;
  }

  flush(): void {
    if (this.#events.length === 0 && this.#dropped === 0) return;
    const report = { events: this.#events, dropped: this.#dropped };
    this.#events = [];
    this.#dropped = 0;
    this.#post(report);
  }
}

const flushMs = 50;
const batchMax = 256;
