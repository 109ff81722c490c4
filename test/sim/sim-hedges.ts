import { seededRandom, type Random } from '@remora/core/random';
import { reasons } from '@remora/errors/reason';
import type { Layer } from '@remora/policy-kit/exchange';
import { hedgingRuntime } from '@remora/policy-hedging/filter';
import type { HedgingSettings } from '@remora/policy-hedging/wire';
import { RetryBudget } from '@remora/policy-retry/retry-budget';
import { TestFilterContext } from '@remora/testing/filter-context';
import { LayerDriver, type DrivenAttempt } from '@remora/testing/layer-driver';
import { HedgeInvariants, type HedgeTerms } from './hedge-invariants.ts';

const stepMs = 4;
const runMs = 20_000;
/** After which every try is given up. */
const timeoutMs = 1_000;
const perSecond = 40;

interface World {
  readonly settings: Partial<HedgingSettings>;
  readonly terms: HedgeTerms;
}

/** By a fixed delay and by what is usual, with much budget and next to none. */
const worlds: readonly [World, ...World[]] = [
  { settings: { delayMs: 60 }, terms: { delayMs: 60, ratio: 0.2, minPerSecond: 3 } },
  { settings: { delayMs: 20 }, terms: { delayMs: 20, ratio: 0.02, minPerSecond: 0 } },
  { settings: { quantile: 0.9, minDelayMs: 16 }, terms: { delayMs: 16, ratio: 0.3, minPerSecond: 2 } },
];

export interface HedgesReport {
  readonly violations: readonly string[];
  readonly calls: number;
  readonly hedged: number;
  readonly won: number;
}

/** A try as its upstream has it. */
interface Upstream {
  readonly attempt: DrivenAttempt;
  readonly atMs: number;
  readonly endsAtMs: number;
  readonly how: '200' | '503' | 'reset';
  end: string;
  endMs: number;
}

interface Running {
  readonly name: string;
  readonly driver: LayerDriver;
  readonly idempotent: boolean;
  readonly retried: boolean;
  readonly leavesAtMs: number;
  readonly tries: Upstream[];
  leftAtMs: number | null;
}

/** One seeded run of calls under the real second tries and the real budget, to instances that are quick, slow, silent, failing, and answer after they were given up. */
export class SimHedges {
  readonly #random: Random;
  readonly #context: TestFilterContext;
  readonly #terms: HedgeTerms;
  readonly #layer: Layer;
  readonly #invariants: HedgeInvariants;
  readonly #budget = new RetryBudget({ buffer: new SharedArrayBuffer(RetryBudget.bytes) });
  readonly #running = new Set<Running>();
  /** Given up, and answering all the same. */
  readonly #late: { readonly attempt: DrivenAttempt; readonly atMs: number }[] = [];
  #sent = 0;
  #owed = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    const { settings, terms } = worlds[seed % worlds.length] ?? worlds[0];
    this.#terms = terms;
    this.#context = new TestFilterContext('hedging', { side: 'outbound', scope: 'outbound/web/to/payments/', random: this.#random });
    const layer = hedgingRuntime.layer?.({ delayMs: 0, quantile: 0, minDelayMs: 1, samples: 20, replayBytes: 0, ...settings }, this.#context);
    if (!layer) throw new Error('hedging is a layer');
    this.#layer = layer;
    this.#invariants = new HedgeInvariants(terms, this.#now);
  }

  run(): HedgesReport {
    for (let ms = 0; ms < runMs; ms += stepMs) {
      for (this.#owed += (perSecond * stepMs) / 1_000 * 2 * this.#random.next(); this.#owed >= 1; this.#owed -= 1) this.#begin();
      this.#step();
    }
    for (let ms = 0; ms < 3 * timeoutMs; ms += stepMs) this.#step();
    const { violations, calls, hedged, won } = this.#invariants;
    if (this.#running.size > 0) violations.push(`${this.#running.size} calls never end`);
    if (hedged !== (this.#context.counts.get('hedging_hedged') ?? 0)) violations.push(`${hedged} calls were tried again, and ${this.#context.counts.get('hedging_hedged') ?? 0} are counted`);
    return { violations, calls, hedged, won };
  }

  get #now(): number {
    return this.#context.clock.monotonicMs();
  }

  #begin(): void {
    const nowMs = this.#now;
    const idempotent = this.#random.next() < 0.8;
    const retried = this.#random.next() < 0.1;
    this.#budget.sent(nowMs);
    this.#sent += 1;
    const request = { method: idempotent ? 'GET' : 'POST', authority: 'payments', target: '/', headers: retried ? { 'x-remora-attempt': '2' } : {} };
    const budget = { take: (atMs: number) => this.#budget.take(atMs, this.#terms) };
    const driver = new LayerDriver(this.#layer, this.#context, { request }, { budget });
    const tries = driver.attempts.map((attempt) => this.#arrived(attempt));
    this.#running.add({ name: `call ${this.#sent}`, driver, idempotent, retried, leavesAtMs: this.#random.next() < 0.1 ? nowMs + 300 * this.#random.next() : Number.POSITIVE_INFINITY, tries, leftAtMs: null });
  }

  #step(): void {
    this.#context.timers.advance(stepMs);
    for (const call of this.#running) this.#serve(call);
    for (const { attempt } of this.#late.filter(({ atMs }) => atMs <= this.#now)) attempt.answer(200, {}, 'late');
    this.#late.splice(0, this.#late.length, ...this.#late.filter(({ atMs }) => atMs > this.#now));
    this.#invariants.budget(this.#sent, this.#now);
  }

  #serve(call: Running): void {
    const nowMs = this.#now;
    const { driver, tries } = call;
    for (const attempt of driver.attempts.slice(tries.length)) tries.push(this.#arrived(attempt));
    try {
      for (const one of tries) this.#progress(one);
      if (nowMs >= call.leavesAtMs && !driver.response.ended) {
        call.leftAtMs = nowMs;
        driver.response.bound?.stop(reasons.downstreamReset);
      }
    } catch (error) {
      this.#invariants.violations.push(`${call.name}: ${(error as Error).message}`);
    }
    if (driver.response.ended || call.leftAtMs !== null) this.#ended(call);
  }

  #progress(one: Upstream): void {
    const { attempt, endsAtMs, how } = one;
    if (one.end === '' && attempt.source.stopped !== null) this.#stopped(one);
    if (one.end !== '' || endsAtMs > this.#now) return;
    one.end = how;
    one.endMs = this.#now;
    if (how === 'reset') attempt.fail(reasons.upstreamReset);
    else attempt.answer(Number(how), {}, how === '200' ? 'done' : '');
  }

  /** Some upstreams have their answer on the way already. */
  #stopped(one: Upstream): void {
    one.end = 'stopped';
    one.endMs = this.#now;
    if (this.#random.next() < 0.3) this.#late.push({ attempt: one.attempt, atMs: this.#now + 50 * this.#random.next() });
  }

  #ended(call: Running): void {
    this.#running.delete(call);
    this.#context.timers.cancel(call.driver.x);
    for (const one of call.tries) if (one.end === '' && one.attempt.source.stopped !== null) this.#stopped(one);
    const { name, idempotent, retried, leftAtMs, driver } = call;
    this.#invariants.ended({ name, idempotent, retried, leftAtMs, heard: driver.response.events[0]?.replace(/ end$/, '') ?? '', tries: call.tries.map(({ atMs, end, endMs }) => ({ atMs, end, endMs })) });
  }

  #arrived(attempt: DrivenAttempt): Upstream {
    return { attempt, atMs: this.#now, ...this.#outcome(this.#now), end: '', endMs: 0 };
  }

  #outcome(nowMs: number): Pick<Upstream, 'endsAtMs' | 'how'> {
    const what = this.#random.next();
    if (what < 0.7) return { endsAtMs: nowMs + 2 + 12 * this.#random.next(), how: '200' };
    if (what < 0.85) return { endsAtMs: nowMs + 30 + 400 * this.#random.next(), how: '200' };
    if (what < 0.9) return { endsAtMs: nowMs + timeoutMs, how: 'reset' };
    return { endsAtMs: nowMs + 100 * this.#random.next(), how: what < 0.95 ? '503' : 'reset' };
  }
}
