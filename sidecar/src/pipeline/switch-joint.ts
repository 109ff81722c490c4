import type { Head } from '@remora/http/head';
import type { Sink, Source } from '@remora/policy-kit/exchange';
import { PassingSink } from '@remora/policy-kit/passing-sink';

/**
 * Stands before the filters of a response body where the request asks to switch protocols: an ordinary answer passes them, a switch and the
 * bytes of its tunnel go past them.
 */
export class SwitchJoint extends PassingSink {
  readonly #tunnel: Sink;
  #from: Source | null = null;

  constructor(filters: Sink, tunnel: Sink) {
    super(filters);
    this.#tunnel = tunnel;
  }

  override bind(from: Source): void {
    this.#from = from;
    super.bind(from);
  }

  override head(head: Head, end: boolean): void {
    if (head.protocol !== '') {
      this.next = this.#tunnel;
      if (this.#from !== null) this.#tunnel.bind(this.#from);
    }
    super.head(head, end);
  }
}
