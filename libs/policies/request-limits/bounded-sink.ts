import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from '@remora/policy-kit/exchange';

/** What a body must stay within. */
export interface BodyBound {
  /** Whether the next bytes may pass. After false nothing is asked any more. */
  fits(bytes: Uint8Array, at: number, to: number): boolean;
}

/** At most so many bytes. */
export class LengthBound implements BodyBound {
  #rest: number;

  constructor(bytesMax: number) {
    this.#rest = bytesMax;
  }

  fits(_bytes: Uint8Array, at: number, to: number): boolean {
    this.#rest -= to - at;
    return this.#rest >= 0;
  }
}

/** Passes a body on as long as it stays within its bound; then nothing of it goes on. */
export class BoundedSink implements Sink {
  readonly #next: Sink;
  readonly #bound: BodyBound;
  readonly #reason: Reason;
  readonly #refuse: () => void;
  #from: Source | null = null;
  #over = false;
  #ended = false;

  constructor(next: Sink, options: { readonly bound: BodyBound; readonly reason: Reason; readonly refuse: () => void }) {
    this.#next = next;
    this.#bound = options.bound;
    this.#reason = options.reason;
    this.#refuse = options.refuse;
  }

  bind(from: Source): void {
    this.#from = from;
    this.#next.bind(from);
  }

  info(head: Head): void {
    if (!this.#over) this.#next.info(head);
  }

  head(head: Head, end: boolean): void {
    if (!this.#over) this.#next.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#over) return true;
    if (this.#bound.fits(bytes, at, to)) return this.#next.data(bytes, at, to, end);
    this.#over = true;
    // The answer first: it names this policy, while a reset that comes back from the call would not.
    this.#refuse();
    this.reset(this.#reason);
    this.#from?.stop(this.#reason);
    return true;
  }

  trailers(head: Head): void {
    if (!this.#over) this.#next.trailers(head);
  }

  reset(reason: Reason): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#next.reset(reason);
  }
}
