import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from './exchange.ts';

/** What a body is checked for while it passes. After the first false it is not asked any more. */
export interface BodyCheck {
  /** Whether the next bytes may pass; `end`: they are the last ones. */
  passes(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** Whether the body may end in trailers here. */
  endsWell(): boolean;
}

/** Passes a body on as long as its check says so; then nothing of it goes on: upstream sees a reset with `reason`, and `refuse` answers the client. */
export class CheckedSink implements Sink {
  readonly #next: Sink;
  readonly #check: BodyCheck;
  readonly #reason: Reason;
  readonly #refuse: () => void;
  #from: Source | null = null;
  #failed = false;
  #reset = false;

  constructor(next: Sink, options: { readonly check: BodyCheck; readonly reason: Reason; readonly refuse: () => void }) {
    this.#next = next;
    this.#check = options.check;
    this.#reason = options.reason;
    this.#refuse = options.refuse;
  }

  bind(from: Source): void {
    this.#from = from;
    this.#next.bind(from);
  }

  info(head: Head): void {
    if (!this.#failed) this.#next.info(head);
  }

  head(head: Head, end: boolean): void {
    if (!this.#failed) this.#next.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#failed) return true;
    if (this.#check.passes(bytes, at, to, end)) return this.#next.data(bytes, at, to, end);
    this.#fail();
    return true;
  }

  trailers(head: Head): void {
    if (this.#failed) return;
    if (this.#check.endsWell()) this.#next.trailers(head);
    else this.#fail();
  }

  reset(reason: Reason): void {
    if (this.#reset) return;
    this.#reset = true;
    this.#next.reset(reason);
  }

  #fail(): void {
    this.#failed = true;
    // The answer first: it names this policy, while a reset that comes back from the call would not.
    this.#refuse();
    this.reset(this.#reason);
    this.#from?.stop(this.#reason);
  }
}
