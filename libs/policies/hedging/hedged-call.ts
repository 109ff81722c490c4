import { reasons, type Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { Call, CallLimit, Dispatch, Sink, Source } from '@remora/policy-kit/exchange';
import type { Due, FilterContext } from '@remora/policy-kit/runtime-kind';
import type { HedgeDelay } from './hedge-delay.ts';
import { KeptBody, type HedgedBody } from './hedged-body.ts';

/** What all calls of one layer share. */
export interface HedgePlan {
  readonly context: FilterContext;
  readonly next: Dispatch;
  readonly delay: HedgeDelay;
  readonly counters: Readonly<Record<'hedged' | 'won' | 'unaffordable', () => void>>;
}

/**
 * One call with a second try, made when the first takes long. The first good head wins, the other try is cancelled; a failure waits for the other try as
 * long as there is one. Source of the response body.
 */
export class HedgedCall implements Source, Due {
  readonly #plan: HedgePlan;
  readonly #call: Call;
  readonly #response: Sink;
  readonly #startedAt: number;
  /** The request body; null: there is none. Set before the timer can fire. */
  body: HedgedBody | null = null;
  readonly #first = new Try(this);
  #second: Try | null = null;
  #secondCall: Call | null = null;
  #winner: Try | null = null;
  #over = false;
  /** Why the try that failed first ran out of time, as it would be told without the other. */
  #limit: CallLimit | null = null;

  constructor(plan: HedgePlan, call: Call, response: Sink, startedAt: number) {
    this.#plan = plan;
    this.#call = call;
    this.#response = response;
    this.#startedAt = startedAt;
  }

  /** Answers the sink of the request body. */
  begin(delayMs: number | null): Sink {
    const { context, next } = this.#plan;
    const { x } = this.#call;
    this.#response.bind(this);
    if (delayMs !== null) context.timers.after(delayMs, this, x, x.token);
    return next(this.#call, this.#first);
  }

  // Source of the response body.

  resume(): void {
    this.#winner?.source?.resume();
  }

  stop(reason: Reason): void {
    if (this.#over) return;
    this.#end();
    this.#first.cancel(reason);
    this.#second?.cancel(reason);
  }

  /** The client broke its body off: the first try hears it by its body. */
  gone(reason: Reason): void {
    this.#end();
    this.#second?.cancel(reason);
  }

  // From the tries.

  info(head: Head, from: Try): void {
    if (this.#winner === null && from === this.#first) this.#response.info(head);
  }

  head(head: Head, end: boolean, from: Try): void {
    const other = this.#otherOf(from);
    if (other !== null && isFailure(head)) {
      from.drop(head, end);
      return;
    }
    this.#win(from, other);
    this.#response.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#response.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    this.#response.trailers(head);
  }

  reset(reason: Reason, from: Try): void {
    const { x } = this.#call;
    if (this.#winner === null && this.#otherOf(from) !== null) {
      this.#limit = x.limit;
      return;
    }
    this.#end();
    x.limit ??= this.#limit;
    // Whoever tries again avoids both hosts.
    if (this.#secondCall !== null && this.#secondCall.endpoint !== '') this.#call.avoid = [...this.#call.avoid, this.#secondCall.endpoint];
    this.#response.reset(reason);
  }

  /** The other try, where it is still under way. */
  #otherOf(from: Try): Try | null {
    const other = from === this.#first ? this.#second : this.#first;
    return other === null || other.over ? null : other;
  }

  #win(winner: Try, other: Try | null): void {
    const { delay, context, counters } = this.#plan;
    const nowMs = context.clock.monotonicMs();
    this.#winner = winner;
    this.#end();
    // A first try that is given up would have taken longer: what is known of it is above the quantile anyway.
    delay.took(nowMs - this.#startedAt, nowMs);
    if (this.#second === null) return;
    other?.cancel(reasons.downstreamReset);
    const { x } = this.#call;
    x.limit = null;
    const call = winner === this.#second ? this.#secondCall : this.#call;
    if (call?.host) x.upstream = call.host.address;
    if (winner === this.#second) counters.won();
  }

  #end(): void {
    this.#over = true;
    this.body?.letGo();
  }

  /** The first try takes long. */
  due(): void {
    const { context, counters, next } = this.#plan;
    const call = this.#call;
    if (this.#over || this.#winner !== null || this.#first.over) return;
    // There is nobody else to ask, or not all of the body is here.
    if ((call.hosts !== null && call.hosts.hosts.length < 2) || (this.body !== null && !this.body.complete)) return;
    const nowMs = context.clock.monotonicMs();
    if (call.budget === null || !call.budget.take(nowMs)) {
      counters.unaffordable();
      return;
    }
    counters.hedged();
    const kept = this.body === null ? null : new KeptBody(this.body.buffer.player(), context);
    const second = secondCall(call, kept ?? noBody, nowMs - this.#startedAt);
    this.#secondCall = second;
    this.#second = new Try(this);
    const sink = next(second, this.#second);
    if (kept !== null) kept.sink = sink;
  }
}

/** The response of one try. It falls silent when it is given up. */
export class Try implements Sink {
  source: Source | null = null;
  over = false;
  readonly #owner: HedgedCall;

  constructor(owner: HedgedCall) {
    this.#owner = owner;
  }

  cancel(reason: Reason): void {
    if (this.over) return;
    this.over = true;
    this.source?.stop(reason);
  }

  /** A short answer is read to its end, so that its connection stays usable. */
  drop(head: Head, end: boolean): void {
    this.over = true;
    if (!end && (head.bodyLength < 0 || head.bodyLength > swallowMax)) this.source?.stop(reasons.downstreamReset);
  }

  bind(from: Source): void {
    this.source = from;
  }

  info(head: Head): void {
    if (!this.over) this.#owner.info(head, this);
  }

  head(head: Head, end: boolean): void {
    if (!this.over) this.#owner.head(head, end, this);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.over || this.#owner.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    if (!this.over) this.#owner.trailers(head);
  }

  reset(reason: Reason): void {
    if (this.over) return;
    this.over = true;
    this.#owner.reset(reason, this);
  }
}

/** At another host, with what is left of the time. It says that it is not the first: inner hops do not try again for it. */
function secondCall(call: Call, body: Source, spentMs: number): Call {
  const head = call.head.fork();
  head.set(attemptHeader, String(call.attempt + 1));
  const headersTimeoutMs = left(call.headersTimeoutMs, spentMs);
  if (headersTimeoutMs > 0 && head.has(deadlineHeader)) head.set(deadlineHeader, String(Math.ceil(headersTimeoutMs)));
  const avoid = call.endpoint === '' ? call.avoid : [...call.avoid, call.endpoint];
  return { ...call, head, body, attempt: call.attempt + 1, headersTimeoutMs, maxStreamMs: left(call.maxStreamMs, spentMs), avoid, endpoint: '', host: null, hosts: null, reused: false, refusable: false };
}

/** What is left of a limit where 0 is none. */
function left(limitMs: number, spentMs: number): number {
  return limitMs === 0 ? 0 : Math.max(1, limitMs - spentMs);
}

/** An answer that the other try may better. */
function isFailure(head: Head): boolean {
  return head.status >= 500 || (head.has(grpcStatusHeader) && head.valueAt(grpcStatusHeader, 0) !== '0');
}

const noBody: Source = Object.freeze({ resume() {}, stop() {} });
const attemptHeader = headerId('x-remora-attempt');
const deadlineHeader = headerId('x-remora-deadline');
const grpcStatusHeader = headerId('grpc-status');
const swallowMax = 16 * 1024;
