import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Call, Sink, Source } from '@remora/policy-kit/exchange';
import type { Deferred } from '@remora/policy-kit/runtime-kind';
import { noteTry } from '@remora/policy-kit/try-note';

/** An attempt that is not made: told at the end of the turn, as any other that fails at once. */
export class RefusedAttempt implements Sink, Source, Deferred {
  readonly #response: Sink;
  readonly #reason: Reason;
  readonly #call: Call;
  readonly #limit: Call['x']['limit'];
  #stopped = false;

  constructor(call: Call, response: Sink, reason: Reason, limit: Call['x']['limit']) {
    this.#call = call;
    this.#response = response;
    this.#reason = reason;
    this.#limit = limit;
    response.bind(this);
  }

  runLater(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const { x, attempt } = this.#call;
    x.limit = this.#limit;
    noteTry(x, { attempt, endpoint: '', host: '', outcome: this.#reason.code, status: 0, grpcStatus: -1, durationMs: 0, limit: this.#limit });
    this.#response.reset(this.#reason);
  }

  stop(_reason: Reason): void {
    this.#stopped = true;
  }

  /** The client went away: there is nobody to tell. */
  reset(_reason: Reason): void {
    this.#stopped = true;
  }

  data(_bytes: Uint8Array, _at: number, _to: number, _end: boolean): boolean {
    return true;
  }

  resume(): void {}
  bind(_from: Source): void {}
  info(_head: Head): void {}
  head(_head: Head, _end: boolean): void {}
  trailers(_head: Head): void {}
}
