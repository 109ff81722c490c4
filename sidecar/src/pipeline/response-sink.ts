import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { MessageHead } from '@remora/http/message-head';
import type { Sink, Source } from '@remora/policy-kit/exchange';
import type { ExchangeRun } from './exchange-run.ts';

/** The end of the response's way: hands everything to its exchange. */
export class ResponseSink implements Sink {
  readonly #run: ExchangeRun;

  constructor(run: ExchangeRun) {
    this.#run = run;
  }

  bind(from: Source): void {
    this.#run.onBind(from);
  }

  info(head: Head): void {
    this.#run.onInfo(head as MessageHead);
  }

  head(head: Head, end: boolean): void {
    this.#run.onHead(head as MessageHead, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#run.onData(bytes, at, to, end);
  }

  trailers(head: Head): void {
    this.#run.onTrailers(head as MessageHead);
  }

  reset(reason: Reason): void {
    this.#run.onReset(reason);
  }
}
