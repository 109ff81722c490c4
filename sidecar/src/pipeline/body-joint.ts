import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from '@remora/policy-kit/exchange';

/**
 * Joins filters to a call that was dispatched before they were installed: the call's body source delegates to whoever binds the sink
 * that stands before the call's own.
 */
export class BodyJoint implements Source {
  #from: Source | null = null;
  /** Asked before anybody was bound. */
  #resumed = false;

  resume(): void {
    if (this.#from === null) this.#resumed = true;
    else this.#from.resume();
  }

  stop(reason: Reason): void {
    this.#from?.stop(reason);
  }

  #join(from: Source): void {
    this.#from = from;
    if (this.#resumed) from.resume();
  }

  /** A sink that passes everything to `next`, which is bound to this joint already. */
  before(next: Sink): Sink {
    return {
      bind: (from: Source) => this.#join(from),
      info: (head: Head) => next.info(head),
      head: (head: Head, end: boolean) => next.head(head, end),
      data: (bytes, at, to, end) => next.data(bytes, at, to, end),
      trailers: (head: Head) => next.trailers(head),
      reset: (reason: Reason) => next.reset(reason),
    };
  }
}
