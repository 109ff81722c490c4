import { reasons, type Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { BodyRelay } from '@remora/policy-kit/body-relay';
import type { Answer, Call, Dispatch, Sink, Source } from '@remora/policy-kit/exchange';
import { freshCall } from '@remora/policy-kit/fresh-call';
import { OwnAnswer } from '@remora/policy-kit/own-answer';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import type { AnswerKeeper, Capture } from './answer-keeper.ts';
import { staleAnswer, type AnswerMaker, type MadeAnswer } from './answer-maker.ts';
import { describeAnswer, isFailedAnswer, isFailedCall } from './failure.ts';
import { destinationFailed } from './reasons.ts';
import type { FallbackSettings } from './wire.ts';

/** What all calls of one layer share. */
export interface FallbackPlan {
  readonly settings: FallbackSettings;
  readonly context: FilterContext;
  readonly next: Dispatch;
  /** The other destination. */
  readonly elsewhere: Dispatch | null;
  readonly keeper: AnswerKeeper | null;
  readonly maker: AnswerMaker | null;
  readonly counters: Readonly<Record<'answered' | 'redirected' | 'stale' | 'unanswered', () => void>>;
}

/**
 * One call with what stands in for its answer: the other destination, then the last good answer, then the fixed one, each where it is configured and
 * possible. Nothing of a failure goes out before it is decided that nothing stands in for it. Source of the response body.
 */
export class FallbackCall implements Source {
  readonly #plan: FallbackPlan;
  readonly #call: Call;
  readonly #response: Sink;
  readonly #relay: BodyRelay | null;
  /** Where the response body comes from now. */
  #source: Source | null = null;
  #triedElsewhere = false;
  #over = false;
  #capture: Capture | null = null;

  constructor(plan: FallbackPlan, call: Call, response: Sink, relay: BodyRelay | null) {
    this.#plan = plan;
    this.#call = call;
    this.#response = response;
    this.#relay = relay;
  }

  /** Answers the sink of the request body. */
  begin(): Sink {
    this.#response.bind(this);
    const call = this.#call;
    const relay = this.#relay;
    if (relay === null) return this.#plan.next(call, new FallbackLeg(this));
    const leg = relay.next();
    call.body = leg;
    leg.sink = this.#plan.next(call, new FallbackLeg(this));
    return relay;
  }

  // Source of the response body.

  resume(): void {
    this.#source?.resume();
  }

  stop(reason: Reason): void {
    this.#over = true;
    this.#capture = null;
    this.#relay?.settle();
    this.#source?.stop(reason);
  }

  // From the legs.

  useSource(from: Source): void {
    this.#source = from;
  }

  info(head: Head): void {
    this.#response.info(head);
  }

  /** The answer goes out, or something stands in for it. */
  head(head: Head, end: boolean, leg: FallbackLeg): void {
    const { settings, context, counters, keeper } = this.#plan;
    if (!this.#over && isFailedAnswer(head, settings)) {
      const original = context.refuse(destinationFailed, '/when', `${this.#call.x.destination} answered ${describeAnswer(head)}`);
      if (this.#standIn(original)) {
        leg.drop(head, end);
        return;
      }
      counters.unanswered();
    }
    this.#over = true;
    this.#relay?.settle();
    if (this.#triedElsewhere) head.set(fallbackHeader, 'service');
    else if (keeper !== null) this.#capture = keeper.begin(this.#call, head, end);
    this.#response.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const capture = this.#capture;
    if (capture !== null) {
      capture.add(bytes, at, to);
      if (end) capture.end();
    }
    return this.#response.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    this.#capture = null;
    this.#response.trailers(head);
  }

  reset(reason: Reason): void {
    const { settings, counters } = this.#plan;
    this.#source = null;
    this.#capture = null;
    if (!this.#over && isFailedCall(reason, settings)) {
      if (this.#standIn(this.#originalOf(reason))) return;
      counters.unanswered();
    }
    this.#over = true;
    this.#relay?.settle();
    this.#response.reset(reason);
  }

  // What stands in.

  #mayGoElsewhere(): boolean {
    return this.#plan.elsewhere !== null && !this.#triedElsewhere && (this.#relay === null || this.#relay.replayable);
  }

  #standIn(original: Answer): boolean {
    const { keeper, maker, counters, context } = this.#plan;
    const { x } = this.#call;
    if (this.#mayGoElsewhere()) {
      x.refusal ??= original;
      this.#goElsewhere();
      return true;
    }
    const kept = keeper?.find(this.#call) ?? null;
    if (kept !== null) {
      counters.stale();
      this.#send('stale', staleAnswer(kept, x, context), original);
      return true;
    }
    const made = maker?.make(x, original) ?? null;
    if (made === null) return false;
    counters.answered();
    this.#send('answer', made, original);
    return true;
  }

  #send(what: string, { head, body, bodiless }: MadeAnswer, original: Answer): void {
    const call = this.#call;
    this.#over = true;
    call.x.refusal ??= original;
    call.x.fallback = what;
    // The rest of the request is of no use to anybody.
    if (this.#relay !== null) this.#relay.end(reasons.upstreamReset);
    else if (call.head.bodyLength !== 0) call.body.stop(reasons.upstreamReset);
    const answer = new OwnAnswer(this.#response, body, this.#plan.context);
    this.#source = answer;
    answer.begin(head, bodiless);
  }

  /** The other destination has limits of its own; no longer than the caller waits, by its own word. */
  #goElsewhere(): void {
    const { elsewhere, settings, counters } = this.#plan;
    const call = this.#call;
    const { x } = call;
    this.#triedElsewhere = true;
    this.#source = null;
    counters.redirected();
    x.fallback = `service ${settings.to?.service ?? ''}`;
    const head = call.head.fork();
    if (Number.isFinite(x.answerBy)) head.set(deadlineHeader, String(Math.max(1, Math.ceil(x.answerBy - x.startedAt))));
    else head.remove(deadlineHeader);
    const leg = this.#relay?.next() ?? null;
    const sink = elsewhere?.(freshCall(call, x, head, leg ?? call.body), new FallbackLeg(this)) ?? null;
    if (leg !== null) leg.sink = sink;
  }

  /** As the log would have had it without a fallback. */
  #originalOf(reason: Reason): Answer {
    const { limit } = this.#call.x;
    const answer = this.#plan.context.refuse(reason, limit?.pointer ?? '', limit?.detail ?? '');
    return { ...answer, kind: limit === null || limit.pointer === '' ? '' : 'timeout' };
  }
}

/** The answer of one destination. It falls silent when something else stands in for it. */
export class FallbackLeg implements Sink {
  readonly #owner: FallbackCall;
  #source: Source | null = null;
  #dropped = false;

  constructor(owner: FallbackCall) {
    this.#owner = owner;
  }

  /** A short answer is read to its end, so that its connection stays usable. */
  drop(head: Head, end: boolean): void {
    this.#dropped = true;
    if (!end && (head.bodyLength < 0 || head.bodyLength > swallowMax)) this.#source?.stop(reasons.downstreamReset);
  }

  bind(from: Source): void {
    this.#source = from;
    this.#owner.useSource(from);
  }

  info(head: Head): void {
    if (!this.#dropped) this.#owner.info(head);
  }

  head(head: Head, end: boolean): void {
    if (!this.#dropped) this.#owner.head(head, end, this);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#dropped || this.#owner.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    if (!this.#dropped) this.#owner.trailers(head);
  }

  reset(reason: Reason): void {
    if (!this.#dropped) this.#owner.reset(reason);
  }
}

const fallbackHeader = headerId('x-remora-fallback');
const deadlineHeader = headerId('x-remora-deadline');
const swallowMax = 16 * 1024;
