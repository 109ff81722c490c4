import { reasons } from '@remora/errors/reason';
import { WheelNode, type TimerWheels } from '../io/timer-wheel.ts';
import { answerFor } from './answers.ts';
import type { ExchangeRun } from './exchange-run.ts';
import type { TunnelEnd } from './tunnel.ts';

/** Generations that may be alive at once, the current one among them: tunnels keep the one that they began on. */
export const generationsMax = 16;

/**
 * The tunnels of one data thread by the generation that they began on. They outlive swaps; beyond 16 generations those on the oldest one end.
 * Many ends are spread over rounds of the event loop.
 */
export class LiveTunnels extends WheelNode {
  readonly #wheels: TimerWheels;
  /** In the order of generations; only those that have tunnels. */
  readonly #byGeneration = new Map<number, Set<ExchangeRun>>();
  /** By the generation that is current while it lives. */
  #generation = 0;
  /** Hears by how many the older generations became more or fewer. */
  readonly #onGenerations: (by: number) => void;
  #toldGenerations = 0;
  /** Those that are to end, in order. */
  readonly #ends: Ending[] = [];
  #ended = 0;
  /** Those that are looked at again, by the newest generation. */
  #looks: readonly ExchangeRun[] = [];
  #looked = 0;
  #look: (run: ExchangeRun) => void = () => {};

  constructor(wheels: TimerWheels, onGenerations: (by: number) => void) {
    super();
    this.#wheels = wheels;
    this.#onGenerations = onGenerations;
  }

  get count(): number {
    let count = 0;
    for (const runs of this.#byGeneration.values()) count += runs.size;
    return count;
  }

  /** Generations that tunnels keep alive, without the current one. */
  get generations(): number {
    return this.#byGeneration.size - (this.#byGeneration.has(this.#generation) ? 1 : 0);
  }

  /** Answers the number of the generation, for `remove`. */
  add(run: ExchangeRun): number {
    const runs = this.#byGeneration.get(this.#generation);
    if (runs === undefined) this.#byGeneration.set(this.#generation, new Set([run]));
    else runs.add(run);
    return this.#generation;
  }

  remove(run: ExchangeRun, generation: number): void {
    const runs = this.#byGeneration.get(generation);
    if (runs === undefined || !runs.delete(run) || runs.size > 0) return;
    this.#byGeneration.delete(generation);
    this.#tellGenerations();
  }

  #tellGenerations(): void {
    const { generations } = this;
    if (generations !== this.#toldGenerations) this.#onGenerations(generations - this.#toldGenerations);
    this.#toldGenerations = generations;
  }

  /** A swap: ends the tunnels on what is too old now. */
  advance(): void {
    this.#generation++;
    this.#tellGenerations();
    let excess = this.generations - (generationsMax - 1);
    for (const [generation, runs] of this.#byGeneration) {
      if (excess-- <= 0 || generation === this.#generation) return;
      this.#endEach(runs, superseded);
    }
  }

  /** A swap: `look` may end some. What the one before had not come to is looked at by this one. */
  recheck(look: (run: ExchangeRun) => void): void {
    if (this.#byGeneration.size === 0) return;
    this.#looks = [...this.#byGeneration.values()].flatMap((runs) => [...runs]);
    this.#looked = 0;
    this.#look = look;
    this.#wheels.arm(this, roundMs);
  }

  /** Ends those that `concerns` picks; answers how many. */
  endAll(concerns: (run: ExchangeRun) => boolean, end: TunnelEnd): number {
    const runs: ExchangeRun[] = [];
    this.forEach((run) => {
      if (concerns(run)) runs.push(run);
    });
    this.#endEach(runs, end);
    return runs.length;
  }

  forEach(visit: (run: ExchangeRun) => void): void {
    for (const runs of this.#byGeneration.values()) for (const run of runs) visit(run);
  }

  #endEach(runs: Iterable<ExchangeRun>, end: TunnelEnd): void {
    for (const run of runs) this.#ends.push({ run, end });
    if (this.#ends.length > 0) this.#wheels.arm(this, roundMs);
  }

  fire(): void {
    for (let left = perRound; left > 0 && this.#ended < this.#ends.length; left--) {
      const { run, end } = this.#ends[this.#ended++] as Ending;
      run.endTunnel(end);
    }
    for (let left = perRound; left > 0 && this.#looked < this.#looks.length; left--) this.#look(this.#looks[this.#looked++] as ExchangeRun);
    if (this.#ended < this.#ends.length || this.#looked < this.#looks.length) {
      this.#wheels.arm(this, roundMs);
      return;
    }
    this.#ends.length = 0;
    this.#ended = 0;
    this.#looks = [];
    this.#looked = 0;
  }

  /** For the admin interface: how many, and the oldest. */
  describe(now: number): object {
    const oldest: object[] = [];
    for (const [generation, runs] of this.#byGeneration) {
      for (const run of runs) {
        if (oldest.length >= shownMax) break;
        oldest.push({ generationsAgo: this.#generation - generation, ...run.describeTunnel(now) });
      }
    }
    return { count: this.count, olderGenerations: this.generations, oldest };
  }
}

interface Ending {
  readonly run: ExchangeRun;
  readonly end: TunnelEnd;
}

const superseded: TunnelEnd = Object.freeze({
  answer: Object.freeze(answerFor(reasons.tunnelSuperseded, `${generationsMax} newer configurations have come since it began`)), closeCode: 1012,
});
const perRound = 256;
const roundMs = 4;
const shownMax = 100;
