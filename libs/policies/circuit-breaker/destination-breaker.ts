import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import type { BreakerMachine } from './breaker-machine.ts';
import { counted, type DestinationCounts } from './destination-counts.ts';
import type { FailOnSettings } from './wire.ts';

/** What attempts of one place report to. */
export class DestinationBreaker {
  readonly failOn: FailOnSettings;
  /** From when on a call is slow. */
  readonly slowMs: number;
  readonly machine: BreakerMachine | null;
  readonly service: string;
  readonly #counts: DestinationCounts;
  readonly #context: FilterContext;
  /** Reused for each end: read before the next. */
  readonly #end = { failed: false, slow: false };

  constructor(parts: { readonly failOn: FailOnSettings; readonly slowMs: number; readonly machine: BreakerMachine | null; readonly service: string; readonly counts: DestinationCounts; readonly context: FilterContext }) {
    this.failOn = parts.failOn;
    this.slowMs = parts.slowMs;
    this.machine = parts.machine;
    this.service = parts.service;
    this.#counts = parts.counts;
    this.#context = parts.context;
  }

  nowMs(): number {
    return this.#context.clock.monotonicMs();
  }

  entered(retry: boolean): void {
    this.#counts.add(counted.requests, 1);
    if (retry) this.#counts.add(counted.retries, 1);
  }

  left(retry: boolean): void {
    this.#counts.add(counted.requests, -1);
    if (retry) this.#counts.add(counted.retries, -1);
  }

  ended(ticket: number, failed: boolean, slow: boolean): void {
    this.#end.failed = failed;
    this.#end.slow = slow;
    this.machine?.ended(ticket, this.#end, this.nowMs(), this.#context.random);
    this.tellChange();
  }

  endedUntold(ticket: number): void {
    this.machine?.ended(ticket, null, this.nowMs(), this.#context.random);
  }

  /** What this thread has just changed. */
  tellChange(): void {
    const change = this.machine?.change ?? null;
    if (change === null) return;
    const { event, pointer, detail, forMs } = change;
    this.#context.event({ event: this.#context.shadow ? `would-be-${event}` : event, service: this.service, host: '', pointer, detail, untilMs: forMs === 0 ? 0 : this.nowMs() + forMs });
  }
}
