import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Reason } from '@remora/errors/reason';
import type { Detours } from './detours.ts';
import type { Answer, EdgeFilter, Exchange, Layer, Side } from './exchange.ts';
import type { FactBook } from './facts.ts';
import type { HealthEvent } from './health-event.ts';
import type { HopNotes } from './hop-notes.ts';
import type { Questions } from './questions.ts';

/**
 * The data plane's half of a policy kind: `wire.ts` and `filter.ts`. `S` is the frozen settings type of `wire.ts`.
 * Registered by name in `sidecar/src/kinds.ts`, what decodes it also in `sidecar/src/wire-kinds.ts`.
 */
export interface RuntimeKind<S> {
  /** Name of the section, e.g. `rateLimit`. */
  readonly name: string;
  /** Highest format of the kind's message that `decode` reads. */
  readonly format: number;
  readonly side: 'provider' | 'caller';
  /**
   * Holds for TCP connections too: an exchange with a head that has no path and no fields, and a method that is CONNECT. Of the other kinds nothing is
   * built for a port that carries TCP.
   */
  readonly tcp?: boolean;
  /** Reasons this kind refuses with; empty where it never does. */
  readonly reasons: readonly Reason[];
  /** Checks every bound again. Throws WireError. */
  decode(bytes: Uint8Array): S;
  /** Provider-side kinds. Null: nothing to do with these settings. */
  edge?(settings: S, context: FilterContext): EdgeFilter | null;
  /** Caller-side kinds. */
  layer?(settings: S, context: FilterContext): Layer | null;
}

/** What the control plane needs of a runtime kind, to read what it is about to push: exported by `wire.ts`. */
export type WireKind<S> = Pick<RuntimeKind<S>, 'name' | 'format' | 'decode'> & Partial<Pick<RuntimeKind<S>, 'reasons'>>;

/** What a filter may use: everything else is in its settings. */
export interface FilterContext {
  readonly clock: Clock;
  readonly timers: FilterTimers;
  readonly random: Random;
  /** In shadow a filter decides as usual, but must not wait; the kit discards its edits and counts its refusals. */
  readonly shadow: boolean;
  readonly side: Side;
  /**
   * Stable name of the place: `inbound/orders/route-name`, `gateway/edge/`; of a layer `outbound/web/to/orders/route-name`.
   * What follows the last slash is the route, '' where none matched. Part of the owner key of live state.
   */
  readonly scope: string;
  /** Where live state (buckets, windows) survives snapshots: the same key and shape answer the same object. */
  readonly live: LiveState;
  /**
   * Zeroed memory that every data thread sees, under an owner key of its own like `live.keep`: asked for each time the
   * filter is built, there when the first request comes. Absent where there is one data thread, or none is offered: the
   * filter then uses memory of its own. Times kept in it are of `clock`, whose monotonic origin is then the same in every
   * thread.
   */
  shared?(key: string, shape: string, bytes: number): SharedMemory;
  /**
   * The same with a row for each data thread behind a part that is common to all: for counts with one writer each, whose sum is what counts. The row of a
   * thread that died is zeroed. Where there is one data thread, or none is offered, it is memory of this thread alone, with one row.
   */
  sharedRows(key: string, shape: string, layout: RowLayout): SharedRows;
  /** Facts of a kind, which change without a snapshot: the same book for as long as the thread lives. Look at its `version` at each request. */
  facts(kind: string): FactBook;
  /** Asks the control thread, for what a data thread cannot do by itself. */
  readonly questions: Questions;
  /** Ways to other destinations. */
  readonly detours: Detours;
  /** What the two sides of the sidecar tell each other about retries. */
  readonly hops: HopNotes;
  /** Runs `work.runLater()` when everything that goes on now is done: where a source produces, which it never does within the `resume` that asked for it. */
  later(work: Deferred): void;
  /** Index into `Exchange.slots` reserved for this filter. */
  slot(): number;
  /** The filter's bit for `wantsRequestBody` and `wantsResponseBody`. */
  readonly bodyBit: number;
  /** Makes the answer of a refusal: problem+json from the reason. */
  refuse(reason: Reason, pointer: string, detail: string, fields?: Answer['fields']): Answer;
  /** Counts what the kind wants counted; names are constants `kind_event`. */
  count(name: string, by?: number): void;
  /**
   * The counter of one such name, for what is counted often: asked for while the filter is built, then one addition for
   * each event.
   */
  counter(name: string): (by?: number) => void;
  /** Reports a change of what this side holds of a destination or of its hosts; kept in a bounded ring, shown and sent on. Never once per request. */
  event(event: Omit<HealthEvent, 'kind'>): void;
  /** Lines of the access log and the like; bounded, dropped and counted at the bound. */
  log(line: string): void;
  /**
   * Where lines go when not to `log`: a file in the sidecar's log folder, rotated. Bounded like `log`. Absent where the
   * data thread cannot write files: the filter then refuses the snapshot. The same target answers the same writer.
   */
  openLog?(target: LogFile): (line: string) => void;
}

/** What is done at the end of a turn of the data thread. */
export interface Deferred {
  runLater(): void;
}

/** Memory that several threads see. */
export interface SharedMemory {
  /** Throws before the snapshot that asked for it is ready to serve. */
  readonly buffer: SharedArrayBuffer;
}

/** Bytes of such memory; each a whole number of 8. */
export interface RowLayout {
  readonly commonBytes: number;
  readonly rowBytes: number;
}

/** Row `i` begins at `commonBytes + i * rowBytes`. */
export interface SharedRows extends SharedMemory {
  /** Data threads, each with a row. */
  readonly rows: number;
  /** Row of this thread. */
  readonly own: number;
}

/** A file of log lines, rotated by size. */
export interface LogFile {
  /** A plain file name, without folders. */
  readonly name: string;
  /** Beyond this size the file is renamed to `name.1` and a new one begun. */
  readonly rotateBytes: number;
  /** Renamed files that are kept. */
  readonly keep: number;
}

/**
 * Wheel timers of the data thread: no allocation per timer beyond the node, granularity 4 ms. A timer goes with its
 * exchange: where that ends first, `run` is not called, and what was counted is given back in `complete`.
 */
export interface FilterTimers {
  /** `run`: a function that is made once, or whatever the request has made anyway; not a closure of its own. */
  after(delayMs: number, run: TimerRun | Due, x: Exchange, token: number): void;
}

export type TimerRun = (x: Exchange, token: number) => void;

/** What waits for a time by itself. */
export interface Due {
  due(x: Exchange, token: number): void;
}

/** Live state by owner key, refcounted over the snapshots that use it. */
export interface LiveState {
  /**
   * The object kept under `key`, where its `shape` (whatever makes it incompatible when changed, as text) is the same;
   * else a new one from `make`.
   */
  keep<T>(key: string, shape: string, make: () => T): T;
}

/**
 * Live state that holds what belongs to others, such as leased tokens. `lapse` is called once, by each thread that keeps it: when no snapshot uses it any more, and
 * when the sidecar has drained. Exchanges of an older snapshot may still come by.
 */
export interface Lapsing {
  lapse(): void;
}

export function isLapsing(value: unknown): value is Lapsing {
  return typeof value === 'object' && value !== null && 'lapse' in value && typeof value.lapse === 'function';
}

/** A message that the sidecar cannot enforce. Becomes a NACK of class `invalid`. */
export class WireError extends Error {
  /** JSON pointer into the section, as the author knows it. */
  readonly pointer: string;
  readonly code: string;

  constructor(pointer: string, code: string, message: string) {
    super(message);
    this.name = 'WireError';
    this.pointer = pointer;
    this.code = code;
  }
}
