import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Reason } from '@remora/errors/reason';
import type { Detours } from '@remora/policy-kit/detours';
import type { Answer, Side } from '@remora/policy-kit/exchange';
import type { FactBook } from '@remora/policy-kit/facts';
import type { HealthEvent } from '@remora/policy-kit/health-event';
import type { HopNotes } from '@remora/policy-kit/hop-notes';
import type { Questions } from '@remora/policy-kit/questions';
import type { ReportedHealth } from '../records/health-batch.ts';
import type { Deferred, FilterContext, FilterTimers, LiveState, LogFile, RowLayout, SharedMemory, SharedRows } from '@remora/policy-kit/runtime-kind';

/** What all filters of a thread share. */
export interface FilterHost {
  readonly clock: Clock;
  readonly timers: FilterTimers;
  readonly random: Random;
  count(name: string, by: number): void;
  counter(name: string): (by?: number) => void;
  event(event: ReportedHealth): void;
  log(line: string): void;
  facts(kind: string): FactBook;
  later(work: Deferred): void;
  readonly questions: Questions;
  readonly detours: Detours;
  readonly hops: HopNotes;
  /** Present where log files may be written. */
  readonly openLog?: (target: LogFile) => (line: string) => void;
  /** Present where several threads share memory. */
  readonly shared?: (id: string, bytes: number, rows?: { readonly at: number; readonly bytes: number }) => SharedMemory;
  /** Data threads, and which of them this is; absent: the only one. */
  readonly threads?: { readonly count: number; readonly own: number };
}

export interface FilterPlace {
  readonly kind: string;
  readonly side: Side;
  readonly scope: string;
  readonly shadow: boolean;
  /** Position in the pin's filters. */
  readonly index: number;
  readonly live: LiveState;
  /** The policy that set a field of the section; '' for a default. */
  readonly policyBehind?: (pointer: string) => string;
  /** A filter asked for something that belongs to this place alone. */
  readonly onOwned: () => void;
}

/** The context of one filter while it is built, and for as long as it lives. */
export class PlaceFilterContext implements FilterContext {
  readonly clock: Clock;
  readonly timers: FilterTimers;
  readonly random: Random;
  readonly shadow: boolean;
  readonly side: Side;
  readonly bodyBit: number;
  readonly questions: Questions;
  readonly detours: Detours;
  readonly hops: HopNotes;
  readonly shared?: (key: string, shape: string, bytes: number) => SharedMemory;
  readonly openLog?: (target: LogFile) => (line: string) => void;
  readonly #host: FilterHost;
  readonly #place: FilterPlace;
  readonly #slots: SlotCounter;

  constructor(host: FilterHost, place: FilterPlace, slots: SlotCounter) {
    this.#host = host;
    this.#place = place;
    this.#slots = slots;
    this.clock = host.clock;
    this.timers = host.timers;
    this.random = host.random;
    this.questions = host.questions;
    this.detours = host.detours;
    this.hops = host.hops;
    this.shadow = place.shadow;
    this.side = place.side;
    this.bodyBit = 1 << place.index;
    const { shared } = host;
    // Kept like other live state: two filters of one owner use the same, and it goes with the last generation that asks for it.
    if (shared !== undefined) this.shared = (key, shape, bytes) => this.live.keep(`${sharedPrefix}${key}`, shape, () => shared(`${key}\0${shape}`, bytes));
    if (host.openLog !== undefined) this.openLog = host.openLog;
  }

  sharedRows(key: string, shape: string, { commonBytes, rowBytes }: RowLayout): SharedRows {
    const { shared, threads } = this.#host;
    const { count: rows, own } = threads ?? onlyThread;
    const bytes = commonBytes + rows * rowBytes;
    const memory = this.live.keep(`${shared === undefined ? '' : sharedPrefix}${key}`, shape, () => (
      shared === undefined ? { buffer: new SharedArrayBuffer(bytes) } : shared(`${key}\0${shape}`, bytes, { at: commonBytes, bytes: rowBytes })
    ));
    return new RowsOf(memory, rows, own);
  }

  get scope(): string {
    this.#place.onOwned();
    return this.#place.scope;
  }

  get live(): LiveState {
    this.#place.onOwned();
    return this.#place.live;
  }

  facts(kind: string): FactBook {
    return this.#host.facts(kind);
  }

  later(work: Deferred): void {
    this.#host.later(work);
  }

  slot(): number {
    return this.#slots.next();
  }

  refuse(reason: Reason, pointer: string, detail: string, fields: Answer['fields'] = noFields): Answer {
    return Object.freeze({ reason, status: reason.status, fields, body: null, contentType: '', detail, kind: this.#place.kind, pointer });
  }

  count(name: string, by = 1): void {
    this.#host.count(name, by);
  }

  counter(name: string): (by?: number) => void {
    return this.#host.counter(name);
  }

  event(event: Omit<HealthEvent, 'kind'>): void {
    this.#host.event({ ...event, kind: this.#place.kind, policy: this.#place.policyBehind?.(event.pointer) ?? '' });
  }

  log(line: string): void {
    this.#host.log(line);
  }
}

/** The memory comes later than the wish for it. */
class RowsOf implements SharedRows {
  readonly rows: number;
  readonly own: number;
  readonly #memory: SharedMemory;

  constructor(memory: SharedMemory, rows: number, own: number) {
    this.#memory = memory;
    this.rows = rows;
    this.own = own;
  }

  get buffer(): SharedArrayBuffer {
    return this.#memory.buffer;
  }
}

/** Hands out the slots of one pin. */
export class SlotCounter {
  count = 0;

  next(): number {
    return this.count++;
  }
}

/** Of the live-state keys under which shared memory is kept. */
export const sharedPrefix = 'shared/';
const onlyThread = Object.freeze({ count: 1, own: 0 });
const noFields: Answer['fields'] = Object.freeze([]);
