import type { RefusalRecord } from '../threads/data-plane.ts';
import type { RefusalSink } from '../pipeline/refusal-sink.ts';

/**
 * Refusals on their way to the control thread: posted together every `flushMs`, at most `batchMax` at a time; what is more than that is only
 * counted. The counts by reason and policy are complete, whatever happens to the records.
 */
export class RefusalBatch implements RefusalSink {
  readonly #post: (batch: RefusalReport) => void;
  readonly #after: (delayMs: number, run: () => void) => void;
  #records: RefusalRecord[] = [];
  #relayed: RefusalRecord[] = [];
  #dropped = 0;
  #counts = new Map<string, RefusalCount>();
  #scheduled = false;

  constructor(post: (batch: RefusalReport) => void, after: (delayMs: number, run: () => void) => void) {
    this.#post = post;
    this.#after = after;
  }

  add(record: RefusalRecord): void {
    this.#count(record);
    if (this.#records.length < batchMax) this.#records.push(record);
    else this.#dropped++;
    this.#schedule();
  }

  takesMore(): boolean {
    return this.#records.length < batchMax;
  }

  takesRelayed(): boolean {
    return this.#relayed.length < relayedMax;
  }

  addRelayed(record: RefusalRecord): void {
    this.#relayed.push(record);
    this.#schedule();
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#records.length === 0 && this.#dropped === 0 && this.#relayed.length === 0) return;
    const report: RefusalReport = { records: this.#records, relayed: this.#relayed, dropped: this.#dropped, counts: [...this.#counts.values()] };
    this.#records = [];
    this.#relayed = [];
    this.#dropped = 0;
    this.#counts = new Map();
    this.#post(report);
  }

  #count({ side, route, destination, target, reason, kind, policy, shadow }: RefusalRecord): void {
    const key = `${side}\0${route}\0${destination}\0${target}\0${reason}\0${kind}\0${policy}\0${String(shadow)}`;
    const known = this.#counts.get(key);
    if (known !== undefined) known.count++;
    else if (this.#counts.size < countsMax) this.#counts.set(key, { side, route, destination, target, reason, kind, policy, shadow, count: 1 });
    else this.#countOverflow(side, shadow);
  }

  #countOverflow(side: string, shadow: boolean): void {
    const key = `${side}\0_overflow\0${String(shadow)}`;
    const known = this.#counts.get(key);
    if (known !== undefined) known.count++;
    else this.#counts.set(key, { side, route: '_overflow', destination: '', target: '', reason: '_overflow', kind: '', policy: '', shadow, count: 1 });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#after(flushMs, () => this.flush());
  }
}

/** New since the last report. */
export interface RefusalReport {
  readonly records: readonly RefusalRecord[];
  /** Failures that were passed on; those that found no room are in the figures only. */
  readonly relayed: readonly RefusalRecord[];
  readonly dropped: number;
  readonly counts: readonly RefusalCount[];
}

export interface RefusalCount {
  readonly side: string;
  readonly route: string;
  readonly destination: string;
  readonly target: string;
  readonly reason: string;
  readonly kind: string;
  readonly policy: string;
  readonly shadow: boolean;
  count: number;
}

const flushMs = 50;
/** A thread refuses at most this many with a record in 50 ms; the ring of the control thread holds 1,000 anyway. */
const batchMax = 256;
/** An app that fails at each request is seen in figures; a few of each moment are enough to ask about. */
const relayedMax = 32;
const countsMax = 1024;
