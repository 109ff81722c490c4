import type { AtomicWords } from '@remora/policy-kit/atomic-words';
import type { Lapsing } from '@remora/policy-kit/runtime-kind';

/** Whether load is being shed, over all threads: two words. Told when it begins, each second while it goes on, and once when nothing was shed for ten seconds; where no request comes that could tell, it ends by itself. */
export class Shedding {
  readonly #words: AtomicWords;
  readonly #at: number;

  constructor(words: AtomicWords, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** A request was shed. `begins`: the first one, or the first one after ten seconds without; `goesOn`: the first one of a second. */
  shed(nowMs: number): 'begins' | 'goesOn' | null {
    const last = this.#words.load(this.#at);
    const now = secondOf(nowMs);
    const first = last !== now && this.#words.compareExchange(this.#at, last, now) === last;
    if (this.#words.load(this.#at + 1) === 0) return this.#words.compareExchange(this.#at + 1, 0, 1) === 0 ? 'begins' : null;
    if (!first) return null;
    return ((now - last) | 0) < quietSeconds ? 'goesOn' : 'begins';
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

/** From a shed request: times are told in whole seconds. */
export const sheddingHoldsMs = (quietSeconds + 1) * 1_000;
