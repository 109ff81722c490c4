import type { Clock } from '@remora/core/clock';
import { seededRandom, type Random } from '@remora/core/random';
import type { Reason } from '@remora/errors/reason';
import type { Detours } from '@remora/policy-kit/detours';
import type { Answer, Exchange, Side } from '@remora/policy-kit/exchange';
import { FactBooks, type FactBook } from '@remora/policy-kit/facts';
import type { HealthEvent } from '@remora/policy-kit/health-event';
import { HopNotes } from '@remora/policy-kit/hop-notes';
import type { Questions } from '@remora/policy-kit/questions';
import { isLapsing, type Deferred, type Due, type FilterContext, type FilterTimers, type LiveState, type LogFile, type RowLayout, type SharedMemory, type SharedRows, type TimerRun } from '@remora/policy-kit/runtime-kind';
import { ManualClock } from './manual-clock.ts';

/** A FilterContext in memory: time, timers, randomness and live state belong to the test, counts and lines are kept. */
export class TestFilterContext implements FilterContext {
  readonly clock: ManualClock;
  readonly timers: ManualFilterTimers;
  readonly random: Random;
  readonly shadow: boolean;
  readonly side: Side;
  readonly scope: string;
  readonly live: LiveState;
  readonly bodyBit = 1;
  /** What the control thread would write. */
  readonly factBooks: FactBooks;
  /** What was asked of the control thread, in order: the test calls `answered`. */
  readonly asked: { readonly topic: string; readonly body: Uint8Array; readonly answered: (answer: Uint8Array | null) => void }[] = [];
  readonly questions: Questions = { ask: (topic, body, answered) => this.asked.push({ topic, body, answered }) > 0 };
  readonly counts = new Map<string, number>();
  readonly lines: string[] = [];
  readonly events: HealthEvent[] = [];
  readonly kind: string;
  readonly hops = new HopNotes();
  readonly detours: Detours;
  shared?: (key: string, shape: string, bytes: number) => SharedMemory;
  readonly #rows: { readonly rows: number; readonly own: number };
  #slots = 0;

  constructor(kind: string, options: TestContextOptions = {}) {
    this.kind = kind;
    this.clock = options.clock ?? new ManualClock();
    this.timers = new ManualFilterTimers(this.clock);
    this.random = options.random ?? seededRandom(7);
    this.shadow = options.shadow ?? false;
    this.side = options.side ?? 'inbound';
    this.scope = options.scope ?? 'inbound/orders/';
    this.live = options.live ?? new MemoryLiveState();
    this.factBooks = options.factBooks ?? new FactBooks();
    this.detours = options.detours ?? noDetours;
    if (options.shared) this.shared = options.shared;
    this.#rows = options.rows ?? { rows: 1, own: 0 };
  }

  get slotCount(): number {
    return this.#slots;
  }

  facts(kind: string): FactBook {
    return this.factBooks.of(kind);
  }

  later(work: Deferred): void {
    queueMicrotask(() => work.runLater());
  }

  slot(): number {
    return this.#slots++;
  }

  refuse(reason: Reason, pointer: string, detail: string, fields: Answer['fields'] = []): Answer {
    return { reason, status: reason.status, fields, body: null, contentType: 'application/problem+json', detail, kind: this.kind, pointer };
  }

  sharedRows(key: string, shape: string, { commonBytes, rowBytes }: RowLayout): SharedRows {
    const { rows, own } = this.#rows;
    const { buffer } = this.live.keep(`rows/${key}`, shape, () => ({ buffer: new SharedArrayBuffer(commonBytes + rows * rowBytes) }));
    return { buffer, rows, own };
  }

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  counter(name: string): (by?: number) => void {
    return (by) => this.count(name, by);
  }

  event(event: Omit<HealthEvent, 'kind'>): void {
    this.events.push({ ...event, kind: this.kind });
  }

  log(line: string): void {
    this.lines.push(line);
  }

  openLog(_target: LogFile): (line: string) => void {
    return (line) => this.log(line);
  }
}

export interface TestContextOptions {
  readonly clock?: ManualClock;
  readonly random?: Random;
  readonly shadow?: boolean;
  readonly side?: Side;
  readonly scope?: string;
  readonly live?: LiveState;
  readonly factBooks?: FactBooks;
  /** `DrivenDetours`, where the layer uses them. */
  readonly detours?: Detours;
  readonly shared?: (key: string, shape: string, bytes: number) => SharedMemory;
  /** Data threads, and which of them this is; the only one by default. */
  readonly rows?: { readonly rows: number; readonly own: number };
}

const noDetours: Detours = {
  to: () => () => {
    throw new Error('this test has no other destinations');
  },
  beside: (x) => x,
};

/** Keeps everything for ever: what a test asks for again under the same key and shape is the same object. */
export class MemoryLiveState implements LiveState {
  readonly entries = new Map<string, { shape: string; value: unknown }>();

  /** The sidecar has drained. */
  lapse(): void {
    const values = [...this.entries.values()];
    this.entries.clear();
    for (const { value } of values) if (isLapsing(value)) value.lapse();
  }

  keep<T>(key: string, shape: string, make: () => T): T {
    const known = this.entries.get(key);
    if (known?.shape === shape) return known.value as T;
    const value = make();
    this.entries.set(key, { shape, value });
    return value;
  }
}

interface PendingTimer {
  readonly dueAt: number;
  readonly x: Exchange;
  readonly token: number;
  readonly run: TimerRun | Due;
}

/** Timers that fire when the test advances the clock through them, in the order of their due times. */
export class ManualFilterTimers implements FilterTimers {
  readonly #pending = new Set<PendingTimer>();
  readonly #clock: Clock & { advance(ms: number): void };

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  get pending(): number {
    return this.#pending.size;
  }

  after(delayMs: number, run: TimerRun | Due, x: Exchange, token: number): void {
    this.#pending.add({ dueAt: this.#clock.monotonicMs() + delayMs, x, token, run });
  }

  /** The exchange has ended: its timers go with it. */
  cancel(x: Exchange): void {
    for (const timer of this.#pending) if (timer.x === x) this.#pending.delete(timer);
  }

  advance(ms: number): void {
    const end = this.#clock.monotonicMs() + ms;
    for (let due = this.#due(end); due.length > 0; due = this.#due(end)) {
      for (const timer of due) {
        if (!this.#pending.delete(timer)) continue;
        this.#clock.advance(Math.max(0, timer.dueAt - this.#clock.monotonicMs()));
        if (typeof timer.run === 'function') timer.run(timer.x, timer.token);
        else timer.run.due(timer.x, timer.token);
      }
    }
    this.#clock.advance(end - this.#clock.monotonicMs());
  }

  #due(end: number): PendingTimer[] {
    return [...this.#pending].filter((timer) => timer.dueAt <= end).sort((a, b) => a.dueAt - b.dueAt);
  }
}
