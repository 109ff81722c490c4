import { reasons, type Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Call, Sink, Source } from '@remora/policy-kit/exchange';
import type { Deferred } from '@remora/policy-kit/runtime-kind';
import type { Player } from '@remora/policy-kit/replay-buffer';

/** What an attempt reports to, and asks of, the call that it belongs to. */
export interface AttemptOwner {
  readonly response: Sink;
  readonly committed: boolean;
  /** More of the request body is wanted. */
  demandBody(): void;
  stopBody(reason: Reason): void;
  /** At the end of the turn. */
  later(work: Deferred): void;
  /** True: the answer is dropped and another attempt will be made. */
  triesAgainAfterAnswer(attempt: Attempt, head: Head): boolean;
  /** True: another attempt will be made. */
  triesAgainAfterReset(attempt: Attempt, reason: Reason): boolean;
  /** The answer of the current attempt stands. */
  commit(): void;
  /** The call has ended, however it did. */
  finish(): void;
}

/** A dropped answer this short is read to its end, so that its connection stays usable. */
const swallowMax = 16 * 1024;

/** One attempt of a call: the sink of its response, and the source of the request body as it sees it. It falls silent as soon as it is given up. */
export class Attempt implements Sink, Source, Deferred {
  readonly call: Call;
  /** Of the response body. */
  source: Source | null = null;
  /** Of the request body. */
  sink: Sink | null = null;
  /** What of the request body is still to be sent from the buffer. */
  player: Player | null = null;
  readonly #owner: AttemptOwner;
  #givenUp = false;
  #demanded = false;
  #stopReason: Reason | null = null;

  constructor(owner: AttemptOwner, call: Call) {
    this.#owner = owner;
    this.call = call;
  }

  /** It asked for body bytes, and has had everything that was sent before. */
  get takesData(): boolean {
    return this.#demanded && this.player === null && this.#stopReason === null;
  }

  send(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    this.#demanded = this.sink?.data(bytes, at, to, end) ?? false;
    return this.#demanded;
  }

  cancel(reason: Reason): void {
    this.#giveUp();
    this.source?.stop(reason);
  }

  bind(from: Source): void {
    this.source = from;
  }

  info(head: Head): void {
    if (!this.#givenUp) this.#owner.response.info(head);
  }

  head(head: Head, end: boolean): void {
    if (this.#givenUp) return;
    if (this.#owner.triesAgainAfterAnswer(this, head)) {
      this.#giveUp();
      if (!end && (head.bodyLength < 0 || head.bodyLength > swallowMax)) this.source?.stop(reasons.downstreamReset);
      return;
    }
    this.#owner.commit();
    if (this.#stopReason !== null) this.#owner.stopBody(this.#stopReason);
    if (end) this.#owner.finish();
    this.#owner.response.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#givenUp) return true;
    if (end) this.#owner.finish();
    return this.#owner.response.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    if (this.#givenUp) return;
    this.#owner.finish();
    this.#owner.response.trailers(head);
  }

  reset(reason: Reason): void {
    if (this.#givenUp) return;
    this.#giveUp();
    if (!this.#owner.committed && this.#owner.triesAgainAfterReset(this, reason)) return;
    this.#owner.finish();
    this.#owner.response.reset(reason);
  }

  #giveUp(): void {
    this.#givenUp = true;
    this.player?.leave();
    this.player = null;
  }

  resume(): void {
    if (this.#givenUp) return;
    this.#demanded = true;
    // Production is scheduled: it never runs within the resume that asked for it.
    if (this.player !== null) this.#owner.later(this);
    else this.#owner.demandBody();
  }

  runLater(): void {
    const { player, sink } = this;
    if (this.#givenUp || player === null || sink === null || this.#stopReason !== null) return;
    this.#demanded = player.play(sink);
    if (!player.done) return;
    player.leave();
    this.player = null;
    if (this.#demanded) this.#owner.demandBody();
  }

  /** Until this attempt's answer stands, another one may need the body: the producer is only paused. */
  stop(reason: Reason): void {
    if (this.#givenUp) return;
    this.#stopReason = reason;
    if (this.#owner.committed) this.#owner.stopBody(reason);
  }
}
