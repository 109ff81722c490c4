import type { Clock } from '@remora/core/clock';
import type { FactBook, FactUpdate } from './facts.ts';

/** Fact kind: how far the control plane's clock is ahead of this sidecar's monotonic one. */
export const controlPlaneTimeKind = 'controlPlaneTime';
const factName = 'ahead';

/**
 * When something is that the control plane gave a time of its own clock: its wall clock and ours may differ by hours, and either may be set. What is known of it comes
 * with its heartbeats; before the first one, our own wall clock has to do.
 */
export class ControlPlaneTime {
  readonly #clock: Clock;
  readonly #book: FactBook | null;
  #seen = 0;
  #aheadMs: number | null = null;

  /** `book`: where data threads hear of it; null: it is told by `use`. */
  constructor(clock: Clock, book: FactBook | null = null) {
    this.#clock = clock;
    this.#book = book;
  }

  /** Differs when times must be looked at again. */
  get version(): number {
    return this.#book === null ? this.#seen : this.#book.version;
  }

  use(aheadMs: number): void {
    this.#aheadMs = aheadMs;
    this.#seen++;
  }

  /** Monotonic milliseconds of a time that the control plane said (Unix ms). */
  monotonicOf(theirMs: number): number {
    if (this.#book !== null && this.#book.version !== this.#seen) {
      this.#seen = this.#book.version;
      this.#aheadMs = readAhead(this.#book.get(factName));
    }
    return theirMs - (this.#aheadMs ?? this.#clock.wallMs() - this.#clock.monotonicMs());
  }
}

/** For data threads. */
export function controlPlaneTimeFacts(aheadMs: number): FactUpdate {
  return { kind: controlPlaneTimeKind, full: true, facts: new Map([[factName, Buffer.from(String(aheadMs))]]) };
}

function readAhead(body: Uint8Array | undefined): number | null {
  const aheadMs = body === undefined ? Number.NaN : Number(Buffer.from(body).toString());
  return Number.isFinite(aheadMs) ? aheadMs : null;
}
