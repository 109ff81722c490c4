import type { AtomicWords } from '@remora/policy-kit/atomic-words';
import { epochOf } from './breaker-word.ts';

/**
 * A count of one epoch of a breaker, in one word: what was counted in another epoch is 0, so that nobody has to set it back. Up to 1,023; the mark is 22 bits
 * of the epoch.
 */
export class TaggedCount {
  readonly #words: AtomicWords;
  readonly #at: number;
  /** Where the ticket that holds now stands. */
  readonly #ticketAt: number;

  constructor(words: AtomicWords, at: number, ticketAt: number) {
    this.#words = words;
    this.#at = at;
    this.#ticketAt = ticketAt;
  }

  /** Adds one, where it is below `max`: answers how many there are then; 0: there are `max`; -1: the ticket holds no more, nothing was counted. */
  increment(ticket: number, max: number): number {
    const tag = tagOf(ticket);
    for (;;) {
      const word = this.#words.load(this.#at);
      // Looked at between the two: whoever counts for a later ticket has changed the word by then.
      if (this.#words.load(this.#ticketAt) !== ticket) return -1;
      const count = (word & ~countMask) === tag ? word & countMask : 0;
      if (count >= max) return 0;
      if (this.#words.compareExchange(this.#at, word, tag | (count + 1)) === word) return count + 1;
    }
  }

  decrement(ticket: number): void {
    const tag = tagOf(ticket);
    for (;;) {
      const word = this.#words.load(this.#at);
      if ((word & ~countMask) !== tag || (word & countMask) === 0) return;
      if (this.#words.compareExchange(this.#at, word, word - 1) === word) return;
    }
  }

  clear(ticket: number): void {
    const tag = tagOf(ticket);
    for (;;) {
      const word = this.#words.load(this.#at);
      if ((word & ~countMask) !== tag || (word & countMask) === 0) return;
      if (this.#words.compareExchange(this.#at, word, tag) === word) return;
    }
  }
}

function tagOf(ticket: number): number {
  return epochOf(ticket) << countBits;
}

const countBits = 10;
const countMask = (1 << countBits) - 1;
