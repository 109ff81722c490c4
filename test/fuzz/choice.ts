import { seededRandom, type Random } from '@remora/core/random';

/** Choices of a fuzzer: everything that it does follows from one seed. */
export class Choice {
  readonly seed: number;
  readonly #random: Random;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#random = seededRandom(this.seed);
  }

  /** From 0 to below `bound`. */
  below(bound: number): number {
    return Math.floor(this.#random.next() * bound);
  }

  /** From `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True once in `times`, on average. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    if (chosen === undefined) throw new RangeError('nothing to choose from');
    return chosen;
  }

  hex(digits: number): string {
    let text = '';
    while (text.length < digits) text += this.below(16).toString(16);
    return text;
  }

  text(length: number, alphabet: string): string {
    let text = '';
    while (text.length < length) text += alphabet[this.below(alphabet.length)];
    return text;
  }

  /** A seed for a part that is to be repeatable by itself. */
  fork(): number {
    return this.below(0x1_0000_0000);
  }
}
