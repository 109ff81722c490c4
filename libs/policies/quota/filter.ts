import type { Head } from '@remora/http/head';
import { internHeaderName, makeField } from '@remora/http/header-ids';
import { WAIT, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import { InstanceShare, instancesFactKind } from '@remora/policy-kit/instance-share';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { StoreLine } from '@remora/policy-kit/store/store-line';
import type { StoreAnswer, StoreAsk } from '@remora/policy-kit/store/store-questions';
import { CountList } from './count-list.ts';
import { ask, denied, type QuotaCount } from './quota-count.ts';
import { QuotaCounts } from './quota-counts.ts';
import { quotaExceeded, quotaStoreUnavailable } from './reasons.ts';
import { quotaWire, type QuotaSettings } from './wire.ts';

/** Counts what consumers use of the quotas of their Plans, over all sidecars, and refuses or slows down what is beyond. */
export const quotaRuntime: RuntimeKind<QuotaSettings> = {
  ...quotaWire,
  side: 'provider',
  edge: (settings, context) => new QuotaFilter(settings, context),
};

interface Pending {
  readonly token: number;
  /** Of these the request has taken one. */
  readonly took: CountList;
  readonly asking: CountList;
}

class QuotaFilter implements EdgeFilter {
  readonly kind = 'quota';
  readonly #settings: QuotaSettings;
  readonly #context: FilterContext;
  readonly #counts: QuotaCounts;
  readonly #line: StoreLine;
  readonly #instances: InstanceShare;
  readonly #slot: number;
  readonly #standings: number;
  readonly #asked: () => void;
  readonly #without: () => void;
  readonly #throttled: () => void;
  readonly #onDeadline: (x: Exchange, token: number) => void;
  /** Of the request that is looked at now. */
  readonly #took = new CountList();
  readonly #asking = new CountList();

  constructor(settings: QuotaSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#counts = new QuotaCounts(context);
    this.#line = StoreLine.of(context);
    this.#instances = new InstanceShare(context.facts(instancesFactKind));
    this.#slot = context.slot();
    this.#standings = context.slot();
    this.#asked = context.counter('quota_store_asked');
    this.#without = context.counter('quota_without_store');
    this.#throttled = context.counter('quota_throttled');
    this.#onDeadline = (x, token) => this.#timeOut(x, token);
  }

  request(x: Exchange): Verdict {
    const counts = this.#counts.of(x);
    if (counts.length === 0) return null;
    x.slots[this.#standings] = counts;
    const nowMs = this.#context.clock.monotonicMs();
    const took = this.#took;
    const asking = this.#asking;
    took.clear();
    asking.clear();
    for (const count of counts) {
      const taking = count.take(nowMs);
      if (taking === denied) {
        const verdict = this.#used(count, took, nowMs);
        if (verdict !== null) return verdict;
      } else if (taking === ask) asking.add(count);
      else {
        took.add(count);
        this.#askAhead(count, nowMs);
      }
    }
    return asking.length === 0 ? null : this.#ask(x, nowMs);
  }

  response(x: Exchange, head: Head): null {
    const counts = x.slots[this.#standings] as readonly QuotaCount[] | undefined;
    if (this.#settings.headers && counts !== undefined) this.#write(head, counts);
    return null;
  }

  complete(x: Exchange): void {
    x.slots[this.#slot] = undefined;
  }

  concerns(x: Exchange): readonly string[] {
    return this.#counts.of(x).map(pointerOf);
  }

  #ask(x: Exchange, nowMs: number): Verdict {
    if (!this.#line.mayAsk()) return this.#conclude(this.#took, this.#asking, null);
    const pending: Pending = { token: x.token, took: this.#took.copy(), asking: this.#asking.copy() };
    const asks = pending.asking.asks((count) => count.askNow(nowMs));
    if (!this.#line.ask(asks, (answers) => this.#answered(x, pending, answers))) return this.#conclude(pending.took, pending.asking, null);
    this.#asked();
    // In shadow nobody waits: what the answer says holds for the next request.
    if (this.#context.shadow) return null;
    x.slots[this.#slot] = pending;
    this.#context.timers.after(this.#line.deadlineMs, this.#onDeadline, x, x.token);
    return WAIT;
  }

  #askAhead(count: QuotaCount, nowMs: number): void {
    const { deadlineMs } = this.#line;
    const ahead = deadlineMs === 0 ? null : count.askAhead(nowMs, deadlineMs * 2);
    if (ahead === null || !this.#line.mayAsk()) return;
    this.#line.ask([ahead], (answers) => this.#keep(new CountList([count]), answers));
  }

  #answered(x: Exchange, pending: Pending, answers: readonly (StoreAnswer | null)[] | null): void {
    if (x.token !== pending.token || x.slots[this.#slot] !== pending) return this.#keep(pending.asking, answers);
    this.#goOn(x, pending, answers);
  }

  #timeOut(x: Exchange, token: number): void {
    const pending = x.slots[this.#slot] as Pending | undefined;
    if (pending === undefined || pending.token !== token) return;
    this.#line.late();
    this.#goOn(x, pending, null);
  }

  #goOn(x: Exchange, pending: Pending, answers: readonly (StoreAnswer | null)[] | null): void {
    x.slots[this.#slot] = undefined;
    const verdict = this.#conclude(pending.took, pending.asking, answers);
    if (verdict === null) x.proceed(pending.token);
    else if (typeof verdict !== 'symbol') x.answer(pending.token, verdict);
  }

  #conclude(took: CountList, asking: CountList, answers: readonly (StoreAnswer | null)[] | null): Verdict {
    const nowMs = this.#context.clock.monotonicMs();
    let refusal: Verdict = null;
    for (let nth = 0; nth < asking.length; nth++) {
      const count = asking.at(nth);
      const answer = answers?.[nth] ?? null;
      if (answer !== null && count.settle(answer, nowMs, refusal === null)) {
        if (refusal === null) took.add(count);
      } else if (refusal === null) {
        refusal = answer === null ? this.#withoutStore(count, took, nowMs) : this.#used(count, took, nowMs);
      }
    }
    this.#tellRest(asking, nowMs);
    return refusal;
  }

  #withoutStore(count: QuotaCount, took: CountList, nowMs: number): Verdict {
    const { onStoreFailure } = this.#settings;
    this.#without();
    if (onStoreFailure === 'closed') {
      this.#giveBack(took);
      return this.#context.refuse(quotaStoreUnavailable, pointerOf(count), `quota ${count.plan}/${count.quota.name}: the store of the Mesh says nothing, and onStoreFailure is closed`);
    }
    return count.passWithout(this.#instances.count, onStoreFailure === 'degrade') ? null : this.#used(count, took, nowMs);
  }

  /** Nothing is left: the throttle of the quota may still let it pass. */
  #used(count: QuotaCount, took: CountList, nowMs: number): Verdict {
    if (count.throttle(nowMs, this.#instances.count)) {
      this.#throttled();
      return null;
    }
    this.#giveBack(took);
    const { quota: { name, requests, per, throttleRequests }, plan, period } = count;
    const afterSeconds = throttleRequests > 0 ? 1 : Math.max(1, Math.ceil((period.endMs - this.#context.clock.wallMs()) / 1_000));
    const detail = `quota ${plan}/${name}: ${requests} in a ${per}, used up until ${new Date(period.endMs).toISOString()}`;
    return this.#context.refuse(quotaExceeded, pointerOf(count), detail, [makeField('retry-after', String(afterSeconds))]);
  }

  #giveBack(took: CountList): void {
    this.#tell(took.asks((count) => count.giveBack()));
  }

  #tellRest(asking: CountList, nowMs: number): void {
    let back: StoreAsk[] | null = null;
    for (let nth = 0; nth < asking.length; nth++) {
      const rest = asking.at(nth).rest(nowMs);
      if (rest !== null) (back ??= []).push(rest);
    }
    if (back !== null) this.#line.giveBack(back);
  }

  #tell(asks: readonly StoreAsk[]): void {
    if (asks.length > 0) this.#line.giveBack(asks);
  }

  /** An answer that no request waits for. */
  #keep(asking: CountList, answers: readonly (StoreAnswer | null)[] | null): void {
    const nowMs = this.#context.clock.monotonicMs();
    const back: StoreAsk[] = [];
    for (let nth = 0; nth < asking.length; nth++) {
      const count = asking.at(nth);
      const answer = answers?.[nth] ?? null;
      if (answer === null) continue;
      count.settle(answer, nowMs, this.#context.shadow);
      const unused = this.#context.shadow ? null : count.unused(answer, nowMs);
      if (unused !== null) back.push(unused);
    }
    this.#tell(back);
  }

  /** Of the quota that has least left. */
  #write(head: Head, counts: readonly QuotaCount[]): void {
    let tightest = counts[0] as QuotaCount;
    for (const count of counts) if (count.remaining < tightest.remaining) tightest = count;
    head.set(limitId, String(tightest.quota.requests));
    head.set(remainingId, String(tightest.remaining));
    head.set(resetId, String(Math.max(0, Math.ceil((tightest.period.endMs - this.#context.clock.wallMs()) / 1_000))));
  }
}

const limitId = internHeaderName('x-quota-limit');
const remainingId = internHeaderName('x-quota-remaining');
const resetId = internHeaderName('x-quota-reset');

function pointerOf({ plan, quota }: QuotaCount): string {
  return `/plans/${plan}/quotas/${quota.name}`;
}
