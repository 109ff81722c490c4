import type { PlanQuotaFacts } from '@remora/policy-kit/consumer-parts';
import { quotaCountName, quotaKeptMs, quotaPeriod, type QuotaPeriod } from '@remora/policy-kit/quota-period';
import { ask, denied, exactMax, keepGranted, leaseStride, leasedRemaining, nextWish, returnLeased, shouldAskAhead, takeRest, taken, takeLeased, type LeaseRules, type Taking } from '@remora/policy-kit/store/lease';
import type { StoreAnswer, StoreAsk } from '@remora/policy-kit/store/store-questions';

/** A consumer's count of one quota in one period, as one data thread knows it: what it leased, and what it let pass while the store said nothing. */
export class QuotaCount {
  readonly quota: PlanQuotaFacts;
  readonly plan: string;
  readonly period: QuotaPeriod;
  readonly #name: string;
  readonly #identity: string;
  readonly #rules: LeaseRules;
  readonly #row = new Float64Array(leaseStride);
  /** What the store said last; before, the whole. */
  #known: number;
  /** Let in without the store, and not told to it yet. */
  #owed = 0;
  #lapsed = false;
  /** Of the throttle: theoretical arrival time, monotonic. */
  #throttledUntil = 0;

  constructor(consumer: string, plan: string, quota: PlanQuotaFacts, wallMs: number) {
    this.quota = quota;
    this.plan = plan;
    this.period = quotaPeriod(quota, wallMs);
    const { name, identity } = quotaCountName({ consumer, plan, quota: quota.name, period: this.period.label });
    this.#name = name;
    this.#identity = identity;
    this.#known = quota.requests;
    // A block is a thousandth at most: so much is lost of a quota by a data thread that dies.
    this.#rules = { max: quota.requests <= exactMax ? 0 : Math.max(2, Math.floor(quota.requests / 1_000)), lifeMs: Number.MAX_SAFE_INTEGER, pollMs, windowMs: 0 };
  }

  take(nowMs: number): Taking {
    const taking = takeLeased(this.#row, 0, nowMs, 1);
    return taking === ask && this.#owed > this.quota.requests ? denied : taking;
  }

  giveBack(): StoreAsk | null {
    if (this.#rules.max === 0) return this.#askFor(-1);
    returnLeased(this.#row, 0, 1);
    return null;
  }

  askNow(nowMs: number): StoreAsk {
    // Blocks shrink towards the end, so that no sidecar sits on what another one needs.
    const most = Math.max(1, Math.floor(this.#known / 32));
    return this.#askFor(Math.min(most, nextWish(this.#row, 0, nowMs, this.#rules, 1)) + this.#owed);
  }

  /** null: there is enough for now, or somebody asks already. */
  askAhead(nowMs: number, patienceMs: number): StoreAsk | null {
    return this.#rules.max > 0 && shouldAskAhead(this.#row, 0, nowMs, patienceMs) ? this.askNow(nowMs) : null;
  }

  /** What the store gave; first for what is owed. `spend`: the request that asked takes one of it. Whether it may pass. */
  settle(answer: StoreAnswer, nowMs: number, spend: boolean): boolean {
    const paid = Math.min(this.#owed, answer.granted);
    this.#owed -= paid;
    const granted = answer.granted - paid;
    const passes = granted >= 1;
    this.#known = answer.remaining;
    // A block that is smaller than the wish is none that is empty.
    keepGranted(this.#row, 0, { answer: { ...answer, granted }, want: Math.max(1, granted), spent: passes && (spend || this.#rules.max === 0) ? 1 : 0, rules: this.#rules, nowMs });
    return passes;
  }

  /** Nobody comes any more to take from the block, or few do: what is left of it goes back, and what is owed is told. Null: neither. */
  lapse(nowMs: number): StoreAsk | null {
    this.#lapsed = true;
    const want = this.#owed - takeRest(this.#row, 0, nowMs);
    this.#owed = 0;
    return want === 0 ? null : this.#askFor(want);
  }

  /** What was granted for a request that is gone, where blocks are not kept, or none is kept any more. */
  unused(answer: StoreAnswer, nowMs: number): StoreAsk | null {
    return this.rest(nowMs) ?? (this.#rules.max === 0 && answer.granted > 0 ? this.#askFor(-1) : null);
  }

  /** What an answer brought that came when the count had lapsed. */
  rest(nowMs: number): StoreAsk | null {
    return this.#lapsed && this.#rules.max > 0 ? this.lapse(nowMs) : null;
  }

  /** The store says nothing: this instance's part of what was left lets it pass, and it is told later. `parts`: instances. */
  passWithout(parts: number, bounded: boolean): boolean {
    if (bounded && this.#owed >= Math.max(1, Math.floor(this.#known / parts))) return false;
    this.#owed += 1;
    return true;
  }

  /** Whether a consumer whose quota is used up is let in all the same, slowly. */
  throttle(nowMs: number, parts: number): boolean {
    const { throttleRequests, throttlePerMs } = this.quota;
    if (throttleRequests === 0) return false;
    const next = Math.max(this.#throttledUntil, nowMs) + (throttlePerMs * parts) / throttleRequests;
    if (next - nowMs > throttlePerMs * parts) return false;
    this.#throttledUntil = next;
    return true;
  }

  get remaining(): number {
    return Math.max(0, Math.floor(Math.max(0, leasedRemaining(this.#row, 0)) - this.#owed));
  }

  #askFor(want: number): StoreAsk {
    const { requests, per } = this.quota;
    return { counting: 'total', name: this.#name, identity: this.#identity, requests, perMs: 0, burst: 0, cost: 1, want, untilMs: this.period.endMs + quotaKeptMs(per) };
  }
}

export { ask, denied, taken };

/** A quota that is used up is asked about so often: a Plan may be changed to more, and what others do not need comes back. */
const pollMs = 1_000;
