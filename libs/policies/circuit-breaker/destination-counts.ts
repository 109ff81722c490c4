import type { ConnectionRoom } from '@remora/policy-kit/connection-room';
import type { CallLimit, Exchange } from '@remora/policy-kit/exchange';
import type { SharedRows } from '@remora/policy-kit/runtime-kind';
import type { ThresholdSettings } from './wire.ts';

/**
 * What is under way from this caller to one destination: each thread counts in a row of its own, which nobody else writes, and looks at the sum. Threads
 * that look at the same moment may together exceed a bound by one each.
 */
export class DestinationCounts {
  readonly #memory: SharedRows;
  #words: Int32Array | null = null;

  constructor(memory: SharedRows) {
    this.#memory = memory;
  }

  /** A cache line for each thread: none writes into another's. */
  static readonly rowBytes = 64;

  sum(count: Counted): number {
    const words = this.#wordsOf();
    if (this.#memory.rows === 1) return words[count] as number;
    let sum = 0;
    for (let row = 0; row < this.#memory.rows; row += 1) sum += Atomics.load(words, row * rowWords + count);
    return sum;
  }

  add(count: Counted, by: 1 | -1): void {
    const words = this.#wordsOf();
    const at = this.#memory.own * rowWords + count;
    // Nobody else writes it, and a word is never torn: others see it a moment later, as with a store that waits for them.
    words[at] = (words[at] as number) + by;
  }

  /** The memory is there with the first request. */
  #wordsOf(): Int32Array {
    return this.#words ??= new Int32Array(this.#memory.buffer);
  }
}

export const counted = { requests: 0, retries: 1, connections: 2, pending: 3 } as const;
export type Counted = (typeof counted)[keyof typeof counted];

/** The bounds of connections and waiting calls, as pools ask for them. */
export class DestinationRoom implements ConnectionRoom {
  readonly #counts: DestinationCounts;
  readonly #overflowed: () => void;
  readonly #shadow: boolean;
  /** Of the newest snapshot. */
  thresholds: ThresholdSettings;

  constructor(counts: DestinationCounts, thresholds: ThresholdSettings, options: { readonly overflowed: () => void; readonly shadow: boolean }) {
    this.#counts = counts;
    this.thresholds = thresholds;
    this.#overflowed = options.overflowed;
    this.#shadow = options.shadow;
  }

  connect(first: boolean): boolean {
    if (this.#counts.sum(counted.connections) >= this.thresholds.connections) {
      this.#overflowed();
      if (!first && !this.#shadow) return false;
    }
    this.#counts.add(counted.connections, 1);
    return true;
  }

  disconnected(): void {
    this.#counts.add(counted.connections, -1);
  }

  refuse(x: Exchange): void {
    x.limit = thresholdLimit('connections', this.thresholds.connections);
  }

  wait(x: Exchange): boolean {
    if (this.#counts.sum(counted.pending) >= this.thresholds.pending) {
      this.#overflowed();
      if (!this.#shadow) {
        x.limit = thresholdLimit('pending', this.thresholds.pending);
        return false;
      }
    }
    this.#counts.add(counted.pending, 1);
    return true;
  }

  waited(): void {
    this.#counts.add(counted.pending, -1);
  }
}

/** Why a call was refused, for its answer. */
export function thresholdLimit(name: keyof ThresholdSettings, max: number): CallLimit {
  return { kind: 'circuitBreaker', pointer: `/thresholds/${name}`, detail: `${max} ${thresholdNames[name]} are under way to this destination` };
}

const thresholdNames: Readonly<Record<keyof ThresholdSettings, string>> = {
  connections: 'connections', pending: 'calls that wait for a connection', requests: 'requests', retries: 'retries',
};

const rowWords = DestinationCounts.rowBytes / Int32Array.BYTES_PER_ELEMENT;
