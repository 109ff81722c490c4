import type { FilterContext, Lapsing, SharedRows } from '@remora/policy-kit/runtime-kind';
import type { TableState } from './host-table.ts';

/** How one set of hosts has been lately, as one thread sees it. */
export interface ReportedState {
  state: number;
  since: number;
  /** Told by this thread, where the memory has no place left. */
  told: number;
}

/** A set of hosts and who chooses among them. */
export interface ReportedSet {
  readonly service: string;
  /** The same in every thread: hosts that callers choose among alike, and nobody else's. */
  readonly key: number;
  readonly figures: () => string;
  /** Who tells. */
  readonly context: Pick<FilterContext, 'event'>;
}

/**
 * Tells when requests begin or cease to go to hosts that are ill (panic) or not preferred (failover): once it has been so for a second, once in the process. Data
 * threads differ in what they know of hosts (who could not be connected is known by the thread that tried): it is so while any of them says so, and it has ended
 * when none does.
 * Balancers with the same settings share one of these in each thread. What it said ends with the last snapshot in which there is such a balancer.
 */
export class StateReports implements Lapsing {
  readonly #memory: SharedRows;
  #words: Int32Array | null = null;
  /** By place: with what this thread says that something is wrong. */
  readonly #saying = new Map<number, ReportedSet>();
  #lapsed = false;

  /** `memory`: as `reportLayout` says, zeroed; there when the first request comes. It may serve several of these. */
  constructor(memory: SharedRows) {
    this.#memory = memory;
  }

  /** Nothing was wrong when this thread last looked. */
  get quiet(): boolean {
    return this.#saying.size === 0;
  }

  look(seen: ReportedState, { panic, failover }: TableState, about: ReportedSet, now: number): void {
    const state = (panic ? panicBit : 0) | (failover ? failoverBit : 0);
    if (state !== seen.state) {
      seen.state = state;
      seen.since = now;
      return;
    }
    if (now - seen.since < settledMs || this.#lapsed) return;
    const words = (this.#words ??= new Int32Array(this.#memory.buffer));
    const place = placeOf(words, about.key, state !== 0);
    if (place >= 0) this.#say(words, place, state, about);
    else if (seen.told !== state) {
      tellChanges(seen.told, state, about);
      seen.told = state;
    }
  }

  lapse(): void {
    this.#lapsed = true;
    const words = this.#words;
    if (words === null) return;
    for (const [place, about] of this.#saying) this.#say(words, place, 0, about);
  }

  #say(words: Int32Array, place: number, state: number, about: ReportedSet): void {
    const { rows, own } = this.#memory;
    Atomics.store(words, places * (2 + own) + place, state);
    if (state !== 0) this.#saying.set(place, about);
    else this.#saying.delete(place);
    let all = 0;
    for (let row = 0; row < rows; row++) all |= Atomics.load(words, places * (2 + row) + place);
    const before = Atomics.load(words, places + place);
    if (before !== all && Atomics.compareExchange(words, places + place, before, all) === before) tellChanges(before, all, about);
  }
}

function tellChanges(before: number, state: number, about: ReportedSet): void {
  tellChange(before, state, panicBit, ['panic', 'panic-ended'], '/panicThreshold', about);
  tellChange(before, state, failoverBit, ['failover', 'failover-ended'], '/locality', about);
}

function tellChange(before: number, state: number, bit: number, names: readonly [string, string], pointer: string, { service, figures, context }: ReportedSet): void {
  if (((before ^ state) & bit) === 0) return;
  context.event({ event: (state & bit) === 0 ? names[1] : names[0], service, host: '', pointer, detail: figures(), untilMs: 0 });
}

/** The set's own place, taken where `take` and nobody had it; -1: it has none. Places are taken by sets with which something was wrong once, and kept. */
function placeOf(words: Int32Array, key: number, take: boolean): number {
  const name = key | 0 || 1;
  for (let step = 0; step < places; step++) {
    const place = (name + step) & (places - 1);
    let taken = Atomics.load(words, place);
    if (taken === 0 && !take) return -1;
    if (taken === 0) taken = Atomics.compareExchange(words, place, 0, name) || name;
    if (taken === name) return place;
  }
  return -1;
}

/** A power of two. */
const places = 512;
/** Who has each place, what has been told of it, and then what each thread says. */
export const reportLayout = { commonBytes: places * 8, rowBytes: places * 4 } as const;
const panicBit = 1;
const failoverBit = 2;
const settledMs = 1_000;
