import { reasons, type Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from '@remora/policy-kit/exchange';
import { PassingSink } from '@remora/policy-kit/passing-sink';
import { endsInTrailers, failsByGrpc, failsByReason, failsByStatus, isGrpc } from './attempt-end.ts';
import { noTicket } from './breaker-machine.ts';
import type { DestinationBreaker } from './destination-breaker.ts';

/** One attempt that was let through: its breaker hears how it ends, and when it is over. Sink of the response, and its Source to whoever is outside. */
export class GuardedAttempt implements Sink, Source {
  readonly #breaker: DestinationBreaker;
  readonly #response: Sink;
  readonly #retry: boolean;
  readonly #beganAt: number;
  #ticket: number;
  #source: Source | null = null;
  /** The trailers will say how it ended. */
  #untold = false;
  #slow = false;
  #over = false;

  constructor(breaker: DestinationBreaker, response: Sink, ticket: number, retry: boolean, nowMs: number) {
    this.#breaker = breaker;
    this.#response = response;
    this.#ticket = ticket;
    this.#retry = retry;
    this.#beganAt = nowMs;
  }

  bind(from: Source): void {
    this.#source = from;
    this.#response.bind(this);
  }

  info(head: Head): void {
    this.#response.info(head);
  }

  head(head: Head, end: boolean): void {
    if (this.#ticket !== noTicket) this.#answered(head, end);
    if (end) this.#finish();
    this.#response.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (end) this.#finish();
    return this.#response.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    if (this.#untold) this.#tell(failsByGrpc(head, this.#breaker.failOn));
    this.#finish();
    this.#response.trailers(head);
  }

  reset(reason: Reason): void {
    if (this.#ticket !== noTicket) this.#broke(reason);
    this.#finish();
    this.#response.reset(reason);
  }

  resume(): void {
    this.#source?.resume();
  }

  stop(reason: Reason): void {
    this.cancelled();
    this.#source?.stop(reason);
  }

  /** Nobody waits for it any more: its end says nothing, unless it has been slow already. */
  cancelled(): void {
    if (this.#ticket !== noTicket && !this.#untold && this.#isSlow()) this.#breaker.ended(this.#takeTicket(), false, true);
    this.#finish();
  }

  #answered(head: Head, end: boolean): void {
    const { failOn } = this.#breaker;
    this.#slow = this.#isSlow();
    if (failsByStatus(head.status, failOn)) this.#tell(true);
    else if (failOn.grpcStatuses.size === 0 || !isGrpc(head)) this.#tell(false);
    else if (!end && endsInTrailers(head)) this.#untold = true;
    else this.#tell(failsByGrpc(head, failOn));
  }

  #broke(reason: Reason): void {
    this.#slow ||= this.#isSlow();
    const failed = failsByReason(reason, this.#breaker.failOn);
    // Time that ran out before an answer was slow, whoever's time it was.
    if (failed !== null) this.#tell(failed);
    else if (this.#slow && reason === reasons.downstreamReset) this.#tell(false);
  }

  #isSlow(): boolean {
    return this.#breaker.nowMs() - this.#beganAt >= this.#breaker.slowMs;
  }

  #tell(failed: boolean): void {
    this.#untold = false;
    this.#breaker.ended(this.#takeTicket(), failed, this.#slow);
  }

  #takeTicket(): number {
    const ticket = this.#ticket;
    this.#ticket = noTicket;
    return ticket;
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#ticket !== noTicket) this.#breaker.endedUntold(this.#takeTicket());
    this.#breaker.left(this.#retry);
  }
}

/** The request body of such an attempt: where it breaks off, nothing more comes of the attempt. */
export class GuardedBody extends PassingSink {
  readonly #attempt: GuardedAttempt;

  constructor(attempt: GuardedAttempt, next: Sink) {
    super(next);
    this.#attempt = attempt;
  }

  override reset(reason: Reason): void {
    this.#attempt.cancelled();
    super.reset(reason);
  }
}
