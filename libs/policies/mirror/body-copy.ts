import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from '@remora/policy-kit/exchange';
import type { ReplayBuffer } from '@remora/policy-kit/replay-buffer';

/** The request body on its way, copied up to a bound. Sink of the client's body and source of the call; it holds nothing up. */
export class BodyCopy implements Sink, Source {
  /** Of the call. */
  sink: Sink | null = null;
  readonly #source: Source;
  readonly #buffer: ReplayBuffer;
  readonly #whole: (buffer: ReplayBuffer) => void;
  readonly #lost: () => void;
  #over = false;

  /** `whole` or `lost` is called once: all of it is in the buffer, or it never will be. */
  constructor(source: Source, buffer: ReplayBuffer, whole: (buffer: ReplayBuffer) => void, lost: () => void) {
    this.#source = source;
    this.#buffer = buffer;
    this.#whole = whole;
    this.#lost = lost;
  }

  bind(_from: Source): void {}
  info(_head: Head): void {}
  head(_head: Head, _end: boolean): void {}

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (!this.#over) this.#buffer.add(bytes, at, to, end);
    const more = this.sink?.data(bytes, at, to, end) ?? true;
    if (!this.#over && !this.#buffer.whole) this.#end(false);
    else if (end) this.#end(true);
    return more;
  }

  trailers(head: Head): void {
    if (!this.#over) this.#buffer.holdTrailers(head).leave();
    this.sink?.trailers(head);
    this.#end(true);
  }

  reset(reason: Reason): void {
    this.#end(false);
    this.sink?.reset(reason);
  }

  resume(): void {
    this.#source.resume();
  }

  stop(reason: Reason): void {
    this.#end(false);
    this.#source.stop(reason);
  }

  #end(whole: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (whole) this.#whole(this.#buffer);
    else this.#lost();
    // The copy plays on with what it has.
    this.#buffer.drop();
  }
}
