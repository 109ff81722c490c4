import type { AtomicWords } from '@remora/policy-kit/atomic-words';

/** Whether load is being shed, over all threads: two words. Told once when it begins, and once when nothing was shed for ten seconds. */
export class Shedding {
  readonly #words: AtomicWords;
  readonly #at: number;

  constructor(words: AtomicWords, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** A request was shed. True: the first one. */
  shed(nowMs: number): boolean {
    this.#words.store(this.#at, secondOf(nowMs));
    return this.#words.load(this.#at + 1) === 0 && this.#words.compareExchange(this.#at + 1, 0, 1) === 0;
  }

  /** A request was let in. True: shedding is over. */
  calmed(nowMs: number): boolean {
    if (this.#words.load(this.#at + 1) === 0 || ((secondOf(nowMs) - this.#words.load(this.#at)) | 0) < quietSeconds) return false;
    return this.#words.compareExchange(this.#at + 1, 1, 0) === 1;
  }
}

function secondOf(nowMs: number): number {
  return Math.floor(nowMs / 1000) | 0;
}

const quietSeconds = 10;
