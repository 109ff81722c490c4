import type { RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { threadsOf } from '../e2e/edge.ts';

/**
 * Runs of cases that a busy machine has not changed. A sidecar whose event loop comes late ends keep-alive, then refuses requests: that is its own doing, told
 * by itself, and says nothing about the case, which is run again when all are calm. What says `overload` and was not counted is a fault.
 */
export class Undisturbed {
  readonly #sidecars: readonly RunningSidecar[];
  #disturbed = 0;
  /** Refusals for overload that clients saw. */
  #shed = 0;
  #counted = 0;

  constructor(sidecars: readonly RunningSidecar[]) {
    this.#sidecars = sidecars;
  }

  /** `disturbance` answers what was done to a run for overload alone. Throws where it still does after many runs. */
  async run<T>(once: () => Promise<T>, disturbance: (result: T) => Disturbance): Promise<T> {
    for (let left = triesMax; ; left--) {
      const result = await once();
      const { sheds, endsKeepAlive } = disturbance(result);
      if (sheds === 0 && !endsKeepAlive) return result;
      this.#disturbed++;
      this.#shed += sheds;
      if (left === 0) throw new Error(`${sheds > 0 ? 'refused for overload' : 'keep-alive ended without a reason'} in ${triesMax} runs, each begun in calm`);
      await this.#untilCalm();
    }
  }

  async #untilCalm(): Promise<void> {
    await until('nobody is overloaded', async () => (await Promise.all(this.#sidecars.map(threadsOf))).flat(), (threads) => {
      this.#counted = Math.max(this.#counted, threads.reduce((sum, { counters }) => sum + (counters['overload_requests-refused'] ?? 0), 0));
      return threads.every(({ overload }) => overload.stage === 0);
    }, calmMs);
  }

  /** '' where what clients saw was counted. */
  get unexplained(): string {
    return this.#shed > this.#counted ? `${this.#shed} refusals for overload, counted were ${this.#counted}` : '';
  }

  get summary(): string {
    return this.#disturbed === 0 ? '' : `${this.#disturbed} run again for overload`;
  }
}

export interface Disturbance {
  /** Answers with 503 `overload`, or streams refused for it. */
  readonly sheds: number;
  /** An answer ended the connection, and neither it nor its request gives a reason for that. */
  readonly endsKeepAlive: boolean;
}

const triesMax = 8;
const calmMs = 120_000;
