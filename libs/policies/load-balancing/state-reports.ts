import type { FilterContext, SharedRows } from '@remora/policy-kit/runtime-kind';
import type { TableState } from './host-table.ts';

/** What is reported of one set of hosts, and how it has been lately. */
export interface ReportedState {
  state: number;
  since: number;
}

/**
 * Tells when requests begin or cease to go to hosts that are ill (panic) or not preferred (failover): once it has been so for a second, once in the process. Data
 * threads differ in what they know of hosts (who could not be connected is known by the thread that tried): it is so while any of them says so, and it has ended
 * when none does.
 */
export class StateReports {
  readonly #context: Pick<FilterContext, 'event'>;
  readonly #memory: () => SharedRows;
  #words: Int32Array | null = null;

  /** `memory`: as `reportLayout` says, zeroed. */
  constructor(context: Pick<FilterContext, 'event'>, memory: () => SharedRows) {
    this.#context = context;
    this.#memory = memory;
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
    const memory = this.#memory();
    const words = (this.#words ??= new Int32Array(memory.buffer));
    const place = about.place % places;
    Atomics.store(words, places * (1 + memory.own) + place, state);
    let all = 0;
    for (let row = 1; row <= memory.rows; row++) all |= Atomics.load(words, places * row + place);
    const before = Atomics.load(words, place);
    if (before === all || Atomics.compareExchange(words, place, before, all) !== before) return;
    this.#tell(before, all, panicBit, ['panic', 'panic-ended'], '/panicThreshold', about);
    this.#tell(before, all, failoverBit, ['failover', 'failover-ended'], '/locality', about);
  }

  #tell(before: number, state: number, bit: number, names: readonly [string, string], pointer: string, { service, figures }: { readonly service: string; readonly figures: () => string }): void {
    if (((before ^ state) & bit) === 0) return;
    this.#context.event({ event: (state & bit) === 0 ? names[1] : names[0], service, host: '', pointer, detail: figures(), untilMs: 0 });
  }
}

const places = 64;
/** What has been told, and then what each thread says, by place. */
export const reportLayout = { commonBytes: places * 4, rowBytes: places * 4 } as const;
const panicBit = 1;
const failoverBit = 2;
const settledMs = 1_000;
