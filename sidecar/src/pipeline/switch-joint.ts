import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from '@remora/policy-kit/exchange';

/**
 * Stands before the filters of a response body where the request asks to switch protocols: an ordinary answer passes them, a switch and the
 * bytes of its tunnel go past them.
 */
export class SwitchJoint implements Sink {
  readonly #tunnel: Sink;
  #next: Sink;
  #from: Source | null = null;

  constructor(filters: Sink, tunnel: Sink) {
    this.#next = filters;
    this.#tunnel = tunnel;
  }

  bind(from: Source): void {
    this.#from = from;
    this.#next.bind(from);
  }

  info(head: Head): void {
    this.#next.info(head);
  }

  head(head: Head, end: boolean): void {
    if (head.protocol !== '') {
      this.#next = this.#tunnel;
      if (this.#from !== null) this.#tunnel.bind(this.#from);
    }
    this.#next.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#next.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    this.#next.trailers(head);
  }

  reset(reason: Reason): void {
    this.#next.reset(reason);
  }
}
