import type { AtomicWords } from '@remora/policy-kit/atomic-words';
import type { Lapsing } from '@remora/policy-kit/runtime-kind';

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
    return this.end();
  }

  /** True: load was being shed. */
  end(): boolean {
    return this.#words.compareExchange(this.#at + 1, 1, 0) === 1;
  }
}

/** What is to be told when nothing limits any more: by the last snapshot that did. */
export class SheddingEnd implements Lapsing {
  /** Null: no request came yet. */
  lapsed: (() => void) | null = null;

  lapse(): void {
    this.lapsed?.();
  }
}

function secondOf(nowMs: number): number {
  return Math.floor(nowMs / 1000) | 0;
}

const quietSeconds = 10;
