import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import type { TableState } from './host-table.ts';

/** What is reported of one set of hosts, and how it has been lately. */
export interface ReportedState {
  state: number;
  since: number;
}

/**
 * Tells when requests begin or cease to go to hosts that are ill (panic) or not preferred (failover): once it has been so for a second, and by one data thread
 * where they share memory.
 */
export class StateReports {
  readonly #context: Pick<FilterContext, 'event'>;
  readonly #words: () => Int32Array;

  /** `words`: at least 64, zeroed, shared by the data threads. */
  constructor(context: Pick<FilterContext, 'event'>, words: () => Int32Array) {
    this.#context = context;
    this.#words = words;
  }

  /** `place`: of the set among those of this balancer, the same in every thread. */
  look(seen: ReportedState, { panic, failover }: TableState, about: { readonly service: string; readonly place: number; readonly figures: () => string }, now: number): void {
    const state = (panic ? panicBit : 0) | (failover ? failoverBit : 0);
    if (state !== seen.state) {
      seen.state = state;
      seen.since = now;
      return;
    }
    if (now - seen.since < settledMs) return;
    const words = this.#words();
    const place = about.place % words.length;
    const before = Atomics.load(words, place);
    if (before === state || Atomics.compareExchange(words, place, before, state) !== before) return;
    this.#tell(before, state, panicBit, ['panic', 'panic-ended'], '/panicThreshold', about);
    this.#tell(before, state, failoverBit, ['failover', 'failover-ended'], '/locality', about);
  }

  #tell(before: number, state: number, bit: number, names: readonly [string, string], pointer: string, { service, figures }: { readonly service: string; readonly figures: () => string }): void {
    if (((before ^ state) & bit) === 0) return;
    this.#context.event({ event: (state & bit) === 0 ? names[1] : names[0], service, host: '', pointer, detail: figures(), untilMs: 0 });
  }
}

export const reportWords = 64;
const panicBit = 1;
const failoverBit = 2;
const settledMs = 1_000;
