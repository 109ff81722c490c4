import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { Timer, Timers } from '@remora/core/clock';
import type { SpanRecord } from '../records/span-record.ts';
import { requestSpan, type SpanOrigin } from './request-span.ts';

export interface SpanExportOptions {
  readonly exporter: SpanExporter;
  readonly origin: SpanOrigin;
  readonly timers: Timers;
  /** Empties the buffer of the data threads. */
  readonly takeSpans: (max: number) => readonly SpanRecord[];
  /** Said when exporting begins to fail (with the cause), and when it works again (null). */
  readonly onTrouble: (cause: string | null) => void;
}

/**
 * Takes request spans from the data threads and exports them: every 250 ms a batch of at most 1,024, one at a time. That bounds what it costs
 * the control thread; a collector that is slow or gone leaves the buffer full, and the data threads drop and count what comes then.
 */
export class SpanExport {
  /** Taken by the collector. */
  exported = 0;
  /** Lost because the collector did not take them. */
  failed = 0;
  readonly #options: SpanExportOptions;
  readonly #timer: Timer;
  #underway: Promise<void> | null = null;
  #troubled = false;

  constructor(options: SpanExportOptions) {
    this.#options = options;
    this.#timer = options.timers.every(pollMs, () => this.#tick());
  }

  #tick(): void {
    if (this.#underway !== null) return;
    const spans = this.#options.takeSpans(batchMax);
    if (spans.length === 0) return;
    this.#underway = this.#send(spans).then(() => {
      this.#underway = null;
    });
  }

  #send(records: readonly SpanRecord[]): Promise<void> {
    const { exporter, origin } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    exporter.export(records.map((record) => requestSpan(record, origin)), ({ code, error }) => {
      const ok = (code as number) === exportSucceeded;
      if (ok) this.exported += records.length;
      else this.failed += records.length;
      this.#tell(ok ? null : error?.message ?? 'the collector refused them');
      resolve();
    });
    return promise;
  }

  #tell(cause: string | null): void {
    if ((cause !== null) === this.#troubled) return;
    this.#troubled = cause !== null;
    this.#options.onTrouble(cause);
  }

  /** Exports what is left. */
  async stop(): Promise<void> {
    this.#timer.cancel();
    for (let batches = 0; batches < lastBatchesMax; batches++) {
      await this.#underway;
      this.#tick();
      if (this.#underway === null) break;
    }
    await this.#options.exporter.shutdown();
  }
}

/** `ExportResultCode.SUCCESS` of the SDK's core. */
const exportSucceeded = 0;
const pollMs = 250;
const batchMax = 1_024;
/** More than the buffers of a data thread hold. */
const lastBatchesMax = 16;
