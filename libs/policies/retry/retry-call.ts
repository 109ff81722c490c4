import { reasons, type Reason } from '@remora/errors/reason';
import { isGrpcContentType } from '@remora/http/grpc-content-type';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { AttemptBudget } from '@remora/policy-kit/attempt-budget';
import type { Call, Dispatch, Sink, Source } from '@remora/policy-kit/exchange';
import { isIdempotent } from '@remora/policy-kit/idempotent';
import { ReplayBuffer } from '@remora/policy-kit/replay-buffer';
import type { Deferred, FilterContext } from '@remora/policy-kit/runtime-kind';
import { Attempt, type AttemptOwner } from './attempt.ts';
import { noFurther, type NoFurther } from './no-further.ts';
import { backoffMs, parseRetryAfterMs } from './backoff.ts';
import { retriesAnswer, retriesReset, type Circumstances } from './retry-rules.ts';
import type { SlabPool } from '@remora/policy-kit/slab-pool';
import type { RetrySettings } from './wire.ts';

/** What all calls of one layer share. */
export interface RetryPlan {
  readonly settings: RetrySettings;
  readonly context: FilterContext;
  /** Counters. */
  readonly attempted: () => void;
  readonly repeated: () => void;
  readonly spent: () => void;
  readonly budget: AttemptBudget & { sent(nowMs: number): void };
  readonly slabs: SlabPool;
  readonly headerIds: readonly number[];
  readonly next: Dispatch;
}

const attemptHeader = headerId('x-remora-attempt');
const retryHeader = headerId('x-remora-retry');
const deadlineHeader = headerId('x-remora-deadline');
const retryAfterHeader = headerId('retry-after');
const contentTypeHeader = headerId('content-type');

/**
 * One call with its attempts. To the outside it is the sink of the request body and the source of the response's; each attempt has a response sink of its
 * own. Nothing of an attempt goes out before it is decided whether its answer stands: an answer commits with its head.
 */
export class RetryCall implements Sink, Source, AttemptOwner {
  readonly plan: RetryPlan;
  readonly response: Sink;
  readonly buffer: ReplayBuffer;
  committed = false;
  readonly #call: Call;
  readonly #idempotent: boolean;
  readonly #innerHop: boolean;
  readonly #recordable: boolean;
  #recording: boolean;
  /** A refusal was made good once without asking the budget. */
  #repeated = false;
  readonly #startedAt: number;
  /** Limits as the layers outside set them; attempts get what is left. */
  readonly #headersTimeoutMs: number;
  readonly #maxStreamMs: number;
  #body: Source;
  #current: Attempt | null = null;
  #consumed = false;
  #retriesLeft: number;
  #over = false;

  constructor(plan: RetryPlan, call: Call, response: Sink) {
    this.plan = plan;
    this.response = response;
    this.#call = call;
    this.#body = call.body;
    this.#retriesLeft = plan.settings.retries;
    this.#idempotent = isIdempotent(call.head);
    this.#innerHop = readInnerHop(call) && plan.settings.guarded;
    this.#recordable = call.head.bodyLength !== 0 && call.head.bodyLength <= plan.settings.replayBytes;
    this.#recording = this.#recordable && (this.#idempotent || (plan.settings.onGrpcStatuses.size > 0 && isGrpc(call.head)));
    this.buffer = new ReplayBuffer(plan.settings.replayBytes, plan.slabs);
    this.#startedAt = plan.context.clock.monotonicMs();
    this.#headersTimeoutMs = call.headersTimeoutMs;
    this.#maxStreamMs = call.maxStreamMs;
  }

  /** Dispatches the first attempt. */
  begin(): void {
    const { budget } = this.plan;
    // What is a retry of another hop already earns none here.
    if (!this.#innerHop) budget.sent(this.#startedAt);
    this.#call.budget = budget;
    this.response.bind(this);
    this.#dispatch(this.#call);
  }

  // The request body, as the producer outside sees it.

  bind(from: Source): void {
    this.#body = from;
  }

  info(_head: Head): void {}

  head(_head: Head, _end: boolean): void {}

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (to > at) this.#consumed = true;
    const attempt = this.#current;
    if (attempt === null || !attempt.takesData) {
      const player = this.buffer.hold(bytes, at, to, end);
      if (attempt !== null) attempt.player ??= player;
      return false;
    }
    if (this.#retriesLeft > 0 && !this.committed) {
      if (this.#recording) this.buffer.add(bytes, at, to, end);
      else this.buffer.pass(to > at, end);
    }
    return attempt.send(bytes, at, to, end);
  }

  trailers(head: Head): void {
    const attempt = this.#current;
    const player = this.buffer.holdTrailers(head);
    if (attempt === null) return;
    if (attempt.takesData) attempt.sink?.trailers(head);
    else attempt.player ??= player;
  }

  /** The client went away: there is no further attempt. */
  reset(reason: Reason): void {
    const attempt = this.#current;
    this.finish();
    attempt?.sink?.reset(reason);
  }

  // The response body, as its consumer outside asks for it.

  resume(): void {
    this.#current?.source?.resume();
  }

  stop(reason: Reason): void {
    const attempt = this.#current;
    this.finish();
    attempt?.cancel(reason);
  }

  // What attempts report.

  demandBody(): void {
    if (!this.buffer.ended) this.#body.resume();
  }

  stopBody(reason: Reason): void {
    this.#body.stop(reason);
  }

  later(work: Deferred): void {
    this.plan.context.later(work);
  }

  triesAgainAfterAnswer(attempt: Attempt, head: Head): boolean {
    if (this.#over) return false;
    if (!retriesAnswer(head, this.plan.settings, this.plan.headerIds, this.#circumstances(attempt))) return head.status >= 500 ? this.#stays(this.#notRetried(null)) : false;
    if (!this.#canReplay()) return this.#stays(noFurther.bodyGone);
    if (this.#isRetryOfOther()) return this.#stays(noFurther.retryOfOther);
    if (this.plan.settings.guarded && head.has(retryHeader)) return this.#gaveUp(noFurther.saidSo);
    const afterMs = head.has(retryAfterHeader) ? parseRetryAfterMs(head.valueAt(retryAfterHeader, 0), this.plan.context.clock.wallMs()) : null;
    if (afterMs !== null && afterMs > this.plan.settings.retryAfterMaxMs) return this.#gaveUp(noFurther.retryAfter);
    return this.#schedule(attempt, afterMs ?? 0);
  }

  triesAgainAfterReset(attempt: Attempt, reason: Reason): boolean {
    if (this.#over) return false;
    if (!this.#canReplay()) return this.#stays(noFurther.bodyGone);
    if (reason === reasons.refusedStream && !this.#repeated && this.#retriesLeft > 0) return this.#repeat(attempt);
    if (!retriesReset(reason, this.plan.settings, this.#circumstances(attempt))) return this.#stays(this.#notRetried(reason));
    // Where nothing was sent, each hop has to try by itself.
    if (reason.retry !== 'always' && this.#isRetryOfOther()) return this.#stays(noFurther.retryOfOther);
    return this.#schedule(attempt, 0);
  }

  #circumstances({ call }: Attempt): Circumstances {
    return { idempotent: this.#idempotent, reused: call.reused, innerHop: this.#innerHop };
  }

  /** The request that the app makes this call for came in as a retry, though the call does not say so itself. Looked up only where something failed. */
  #isRetryOfOther(): boolean {
    const { settings, context } = this.plan;
    return settings.guarded && context.hops.isRetry(this.#call.x, context.clock.monotonicMs());
  }

  /** What is known of this failure, when it is not of those that are tried again. */
  #notRetried(reason: Reason | null): NoFurther {
    if (reason !== null && reason.retry === 'never' && reason.origin === 'internal') return noFurther.sameAgain;
    if (this.#innerHop) return noFurther.retryOfOther;
    return this.#idempotent ? noFurther.notAmong : noFurther.notIdempotent;
  }

  /** The failure stands; `why` tells the cause. */
  #stays(cause: NoFurther): false {
    this.#call.x.noFurtherTry = cause;
    return false;
  }

  /** There is no further attempt, though the failure is worth one: whoever waits for the app's answer is told not to try again either. */
  #gaveUp(cause: NoFurther): false {
    const { settings, context, spent } = this.plan;
    this.#call.x.noFurtherTry = cause;
    if (settings.guarded) {
      spent();
      context.hops.noteSpent(this.#call.x, context.clock.monotonicMs());
    }
    return false;
  }

  commit(): void {
    this.committed = true;
    this.buffer.drop();
  }

  finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.buffer.drop();
  }

  #canReplay(): boolean {
    return !this.#consumed || (this.#recording && this.buffer.whole);
  }

  /**
   * The instance did not look at the request, as when it says GOAWAY while the request is on its way: it is made again at once, elsewhere if there is an
   * elsewhere, and counts neither as a retry nor against the budget (gRPC A6: transparent retries). Once for each call.
   */
  #repeat(refused: Attempt): boolean {
    this.#repeated = true;
    this.#current = null;
    this.plan.repeated();
    this.#dispatchIn(0, refused);
    return true;
  }

  #dispatchIn(delayMs: number, failed: Attempt): void {
    this.plan.context.timers.after(delayMs, (x, token) => {
      if (!this.#over && x.token === token) this.#dispatch(this.#nextCall(failed.call));
    }, this.#call.x, this.#call.x.token);
  }

  /** Books a further attempt after a backoff, where time and budget allow one. */
  #schedule(failed: Attempt, atLeastMs: number): boolean {
    const { context, budget, settings } = this.plan;
    const nowMs = context.clock.monotonicMs();
    const retry = settings.retries - this.#retriesLeft + 1;
    const delayMs = Math.max(atLeastMs, backoffMs(retry, settings, context.random));
    if (this.#retriesLeft === 0) return this.#gaveUp(noFurther.allMade);
    if (nowMs + delayMs >= this.#endsAt()) return this.#gaveUp(noFurther.noTime);
    if (!budget.take(nowMs)) return this.#gaveUp(noFurther.budgetSpent);
    this.#retriesLeft -= 1;
    this.#current = null;
    this.plan.attempted();
    this.#dispatchIn(delayMs, failed);
    return true;
  }

  #endsAt(): number {
    const headersBy = this.#headersTimeoutMs === 0 ? Number.POSITIVE_INFINITY : this.#startedAt + this.#headersTimeoutMs;
    return Math.min(headersBy, this.#call.deadlineAt, this.#call.x.answerBy);
  }

  #nextCall(failed: Call): Call {
    const spentMs = this.plan.context.clock.monotonicMs() - this.#startedAt;
    const head = this.#call.head.fork();
    const attempt = failed.attempt + 1;
    head.set(attemptHeader, String(attempt));
    const headersTimeoutMs = left(this.#headersTimeoutMs, spentMs);
    if (headersTimeoutMs > 0 && head.has(deadlineHeader)) head.set(deadlineHeader, String(Math.ceil(headersTimeoutMs)));
    const avoid = failed.endpoint === '' ? failed.avoid : [...failed.avoid, failed.endpoint];
    return { ...failed, head, attempt, headersTimeoutMs, maxStreamMs: left(this.#maxStreamMs, spentMs), avoid, endpoint: '', host: null, hosts: null, reused: false, refusable: false };
  }

  #dispatch(call: Call): void {
    const { perTryTimeoutMs } = call;
    if (perTryTimeoutMs > 0 && (call.headersTimeoutMs === 0 || perTryTimeoutMs < call.headersTimeoutMs)) call.headersTimeoutMs = perTryTimeoutMs;
    const attempt = new Attempt(this, call);
    this.#current = attempt;
    if (call.attempt > 1 && !this.buffer.empty) attempt.player = this.buffer.player();
    call.body = attempt;
    attempt.sink = this.plan.next(call, attempt);
    if (call.refusable) this.#recording = this.#recordable;
  }

}

function isGrpc(head: Head): boolean {
  return head.has(contentTypeHeader) && isGrpcContentType(head.valueAt(contentTypeHeader, 0));
}

/** What is left of a limit where 0 is none. */
function left(limitMs: number, spentMs: number): number {
  return limitMs === 0 ? 0 : Math.max(1, limitMs - spentMs);
}

/** Whether an outer hop says that this is one of its retries. From outside of the mesh nobody is believed. */
function readInnerHop({ head, x }: Call): boolean {
  if (!head.has(attemptHeader)) return false;
  if (x.pin.side !== 'gateway' || x.connection.trusted) return Number(head.valueAt(attemptHeader, 0)) > 1;
  head.remove(attemptHeader);
  return false;
}
