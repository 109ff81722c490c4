import { WAIT, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { StoreLine } from '@remora/policy-kit/store/store-line';
import type { StoreAnswer, StoreAsk } from '@remora/policy-kit/store/store-questions';
import { countOverflows, pass, refuse, remember, type Slots } from './conclusions.ts';
import { keyNumber } from './fleet-counts.ts';
import { FleetLimit, ask, denied, type FleetAsk } from './fleet-limit.ts';
import type { CountingLimit } from './limit.ts';
import { limitStoreUnavailable } from './reasons.ts';

/** A request that waits for the store, for all of its limits at once. */
interface Pending {
  readonly x: Exchange;
  readonly token: number;
  /** All that apply, in order. */
  readonly limits: readonly CountingLimit[];
  /** Of these the request has taken its cost. */
  readonly taken: FleetLimit[];
  readonly asks: readonly FleetAsk[];
  settled: boolean;
}

/** Requests of this thread that found a lease used up for which somebody asks already: by limit, by key. */
type Joined = Map<FleetLimit, Map<number, Pending[]>>;

/**
 * Decides over requests where some limits are counted by the whole fleet: first by what is known here, then, only where that does not say, by one question to
 * the store for all limits together. A request that one limit refuses gives back what it took from the others.
 */
export class FleetDecisions {
  readonly #slots: Slots;
  readonly #context: FilterContext;
  readonly #line: StoreLine;
  readonly #asked: () => void;
  readonly #ahead: () => void;
  readonly #late: () => void;
  readonly #failed: () => void;
  readonly #without: () => void;
  readonly #onDeadline: (x: Exchange, token: number) => void;
  readonly #joined: Joined = new Map();

  constructor(slots: Slots, context: FilterContext) {
    this.#slots = slots;
    this.#context = context;
    this.#line = StoreLine.of(context);
    this.#asked = context.counter('rateLimit_store_asked');
    this.#ahead = context.counter('rateLimit_store_asked_ahead');
    this.#late = context.counter('rateLimit_store_late');
    this.#failed = context.counter('rateLimit_store_failed');
    this.#without = context.counter('rateLimit_without_store');
    this.#onDeadline = (x, token) => this.#timeOut(x, token);
  }

  request(x: Exchange, limits: readonly CountingLimit[]): Verdict {
    const nowMs = this.#context.clock.monotonicMs();
    const [only] = limits;
    if (limits.length === 1 && only instanceof FleetLimit) {
      if (!only.appliesTo(x)) return null;
      const taking = only.take(x, nowMs);
      if (taking === ask) return only.leases ? this.#join(x, only, limits, nowMs) : this.#ask(x, limits, [], [only.askNow(x, nowMs)]);
      remember(x, this.#slots.standings, limits);
      if (taking === denied) return refuse(only, this.#context);
      this.#askAhead(x, only, nowMs);
      return null;
    }
    return this.#among(x, limits.filter((limit) => limit.appliesTo(x)), nowMs);
  }

  /** The exchange is over: what comes for it now is not for it. */
  forget(x: Exchange): void {
    x.slots[this.#slots.asking] = undefined;
  }

  #among(x: Exchange, limits: readonly CountingLimit[], nowMs: number): Verdict {
    for (const limit of limits) if (!(limit instanceof FleetLimit) && !limit.decide(x, nowMs, false).allowed) return this.#refuse(x, limit, limits, nowMs, []);
    const took: FleetLimit[] = [];
    const asks: FleetAsk[] = [];
    for (const limit of limits) {
      if (!(limit instanceof FleetLimit)) continue;
      const taking = limit.take(x, nowMs);
      if (taking === denied) return this.#refuse(x, limit, limits, nowMs, took);
      if (taking === ask) asks.push(limit.askNow(x, nowMs));
      else {
        took.push(limit);
        this.#askAhead(x, limit, nowMs);
      }
    }
    return asks.length > 0 ? this.#ask(x, limits, took, asks) : this.#commit(x, limits, nowMs, took);
  }

  /** All limits of the fleet let it pass; now those that count here. */
  #commit(x: Exchange, limits: readonly CountingLimit[], nowMs: number, took: FleetLimit[]): Verdict {
    let slowest: CountingLimit | undefined;
    for (const limit of limits) {
      if (!(limit instanceof FleetLimit)) {
        if (!limit.decide(x, nowMs, true).allowed) return this.#refuse(x, limit, limits, nowMs, took);
      }
      countOverflows(limit, this.#context);
      if (slowest === undefined || limit.decision.waitMs > slowest.decision.waitMs) slowest = limit;
    }
    remember(x, this.#slots.standings, limits);
    return slowest === undefined ? null : pass(x, slowest, this.#slots, this.#context);
  }

  #refuse(x: Exchange, limit: CountingLimit, limits: readonly CountingLimit[], nowMs: number, took: readonly FleetLimit[]): Verdict {
    const back = took.flatMap((one) => one.giveBack(x, nowMs) ?? []);
    if (back.length > 0) this.#line.giveBack(back);
    remember(x, this.#slots.standings, limits.slice(0, limits.indexOf(limit) + 1));
    return refuse(limit, this.#context);
  }

  #askAhead(x: Exchange, limit: FleetLimit, nowMs: number): void {
    const { deadlineMs } = this.#line;
    if (deadlineMs === 0) return;
    const ahead = limit.askAhead(x, nowMs, deadlineMs * 2);
    if (ahead === null || !this.#line.mayAsk() || this.#waiters(ahead) !== undefined) return;
    this.#ahead();
    this.#open(ahead);
    if (!this.#line.ask([ahead.wire], (answers) => this.#leased(ahead, answers))) this.#leased(ahead, null);
  }

  /** A lease is used up: one request asks for the next, the others wait for the same answer, none of them longer than the deadline. */
  #join(x: Exchange, limit: FleetLimit, limits: readonly CountingLimit[], nowMs: number): Verdict {
    const one = limit.askNow(x, nowMs);
    const pending: Pending = { x, token: x.token, limits, taken: [], asks: [one], settled: false };
    if (!this.#line.mayAsk()) return this.#conclude(pending, null);
    if (!this.#wait(one, pending)) return this.#conclude(pending, null);
    if (this.#context.shadow) {
      pending.settled = true;
      return null;
    }
    x.slots[this.#slots.asking] = pending;
    this.#context.timers.after(this.#line.deadlineMs, this.#onDeadline, x, x.token);
    return WAIT;
  }

  /** False: nobody could be asked. */
  #wait(one: FleetAsk, pending: Pending): boolean {
    const waiters = this.#waiters(one);
    if (waiters !== undefined) {
      waiters.push(pending);
      return true;
    }
    const list = this.#open(one);
    if (!this.#line.ask([one.wire], (answers) => this.#leased(one, answers))) {
      this.#close(one);
      return false;
    }
    list.push(pending);
    this.#asked();
    return true;
  }

  /** A lease came, or did not: those who wait for it take from it, in their order; for the rest the next one is asked for. */
  #leased(one: FleetAsk, answers: readonly (StoreAnswer | null)[] | null): void {
    const nowMs = this.#context.clock.monotonicMs();
    const answer = answers?.[0] ?? null;
    if (answer === null) this.#failed();
    else one.limit.settle(one, answer, nowMs, false);
    for (const pending of this.#close(one)) {
      const { x } = pending;
      if (pending.settled || x.token !== pending.token || x.slots[this.#slots.asking] !== pending) continue;
      if (answer === null) this.#goOn(pending, null);
      else this.#again(pending, one.limit, nowMs);
    }
    if (answer !== null) one.limit.settled(one);
  }

  #again(pending: Pending, limit: FleetLimit, nowMs: number): void {
    const { x, token, limits } = pending;
    const taking = limit.take(x, nowMs);
    if (taking === ask && this.#wait(limit.askNow(x, nowMs), pending)) return;
    if (taking === ask) return this.#goOn(pending, null);
    x.slots[this.#slots.asking] = undefined;
    pending.settled = true;
    remember(x, this.#slots.standings, limits);
    if (taking !== denied) return x.proceed(token);
    const verdict = refuse(limit, this.#context);
    if (verdict !== null && typeof verdict !== 'symbol') x.answer(token, verdict);
  }

  #waiters(one: FleetAsk): Pending[] | undefined {
    return this.#joined.get(one.limit)?.get(keyNumber(one));
  }

  #open(one: FleetAsk): Pending[] {
    const { limit } = one;
    let keys = this.#joined.get(limit);
    if (keys === undefined) this.#joined.set(limit, keys = new Map());
    const waiters: Pending[] = [];
    keys.set(keyNumber(one), waiters);
    return waiters;
  }

  #close(one: FleetAsk): readonly Pending[] {
    const { limit } = one;
    const keys = this.#joined.get(limit);
    const waiters = keys?.get(keyNumber(one)) ?? [];
    keys?.delete(keyNumber(one));
    if (keys?.size === 0) this.#joined.delete(limit);
    return waiters;
  }

  #ask(x: Exchange, limits: readonly CountingLimit[], took: FleetLimit[], asks: readonly FleetAsk[]): Verdict {
    const pending: Pending = { x, token: x.token, limits, taken: took, asks, settled: false };
    if (!this.#line.mayAsk()) return this.#conclude(pending, null);
    const { shadow, timers } = this.#context;
    if (!this.#line.ask(asks.map(({ wire }) => wire), (answers) => this.#answered(pending, answers))) return this.#conclude(pending, null);
    this.#asked();
    if (shadow) {
      // In shadow nobody waits: what the answer says holds for the next request.
      pending.settled = true;
      return null;
    }
    x.slots[this.#slots.asking] = pending;
    timers.after(this.#line.deadlineMs, this.#onDeadline, x, x.token);
    return WAIT;
  }

  #answered(pending: Pending, answers: readonly (StoreAnswer | null)[] | null): void {
    const { x } = pending;
    if (pending.settled || x.token !== pending.token || x.slots[this.#slots.asking] !== pending) return this.#keep(pending.asks, answers);
    this.#goOn(pending, answers);
  }

  #timeOut(x: Exchange, token: number): void {
    const pending = x.slots[this.#slots.asking] as Pending | undefined;
    if (pending === undefined || pending.settled || pending.token !== token) return;
    this.#late();
    this.#line.late();
    this.#goOn(pending, null);
  }

  #goOn(pending: Pending, answers: readonly (StoreAnswer | null)[] | null): void {
    const { x, token } = pending;
    x.slots[this.#slots.asking] = undefined;
    const verdict = this.#conclude(pending, answers);
    if (verdict === WAIT) return;
    if (verdict === null) x.proceed(token);
    else x.answer(token, verdict);
  }

  /** What each limit got; where the store said nothing of it, what is to hold then. */
  #conclude(pending: Pending, answers: readonly (StoreAnswer | null)[] | null): Verdict {
    const { x, limits, taken: took, asks } = pending;
    const nowMs = this.#context.clock.monotonicMs();
    pending.settled = true;
    if (answers === null) this.#without();
    let refusing: FleetLimit | null = null;
    for (const [nth, one] of asks.entries()) {
      const answer = answers?.[nth] ?? null;
      if (answer === null) {
        const verdict = this.#withoutStore(x, one.limit, nowMs);
        if (verdict === 'closed') return this.#closed(x, one.limit, took, nowMs);
        if (verdict === 'refused') refusing ??= one.limit;
      } else if (one.limit.settle(one, answer, nowMs, true)) took.push(one.limit);
      else refusing ??= one.limit;
      one.limit.settled(one);
    }
    return refusing === null ? this.#commit(x, limits, nowMs, took) : this.#refuse(x, refusing, limits, nowMs, took);
  }

  #withoutStore(x: Exchange, limit: FleetLimit, nowMs: number): 'passed' | 'refused' | 'closed' {
    const { onStoreFailure } = limit.settings;
    if (onStoreFailure === 'closed') return 'closed';
    if (onStoreFailure === 'degrade') return limit.decideHere(x, nowMs) ? 'passed' : 'refused';
    limit.letPass();
    return 'passed';
  }

  #closed(x: Exchange, limit: FleetLimit, took: readonly FleetLimit[], nowMs: number): Verdict {
    const back = took.flatMap((one) => one.giveBack(x, nowMs) ?? []);
    if (back.length > 0) this.#line.giveBack(back);
    return this.#context.refuse(limitStoreUnavailable, limit.pointer, `limit ${limit.settings.name}: the store of the Mesh says nothing, and onStoreFailure is closed`);
  }

  /** An answer that no request waits for: what it grants is kept for others, or given back. */
  #keep(asks: readonly FleetAsk[], answers: readonly (StoreAnswer | null)[] | null): void {
    if (answers === null) return this.#failed();
    const nowMs = this.#context.clock.monotonicMs();
    const back: StoreAsk[] = [];
    for (const [nth, one] of asks.entries()) {
      const answer = answers[nth] ?? null;
      if (answer === null) continue;
      one.limit.settle(one, answer, nowMs, this.#context.shadow);
      one.limit.settled(one);
      const unused = this.#context.shadow ? null : one.limit.unused(one, answer, nowMs);
      if (unused !== null) back.push(unused);
    }
    if (back.length > 0) this.#line.giveBack(back);
  }
}
