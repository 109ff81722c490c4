import { seededRandom, type Random } from '@remora/core/random';
import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import { SharedWords } from '@remora/policy-kit/atomic-words';
import type { EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { AdaptiveLimit } from '@remora/policy-concurrency/adaptive-limit';
import { concurrencyRuntime } from '@remora/policy-concurrency/filter';
import type { ConcurrencySettings } from '@remora/policy-concurrency/wire';
import { makeExchange } from '@remora/testing/exchange-driver';
import { MemoryLiveState, TestFilterContext } from '@remora/testing/filter-context';
import { ManualClock } from '@remora/testing/manual-clock';
import { ConcurrencyInvariants } from './concurrency-invariants.ts';

const stepMs = 5;
const threads = 2;
const faultyMs = 15_000;
/** What came before runs out of time; what was learned of a slow service is learned anew. */
const healingMs = 15_000;
const wellMs = 5_000;
/** Of what comes then, which is four fifths of what the service can do, and much more than the lowest limit lets in. */
const leastShare = 0.7;
/** After which callers wait no longer. */
const timeoutMs = 1_000;

export const concurrencyTerms: ConcurrencySettings = { adaptive: true, limit: 20, limitMin: 6, limitMax: 40, tolerance: 0.25, probeEveryMs: 10_000, probeJitter: 0.15, priorities: [] };

/** What the app behind the sidecar is like for a while. */
interface Condition {
  /** Requests that it works on at once; others wait, first come, first served. */
  readonly workers: number;
  readonly serviceMs: number;
  readonly failing: number;
  readonly perSecond: number;
}

const well: Condition = { workers: 20, serviceMs: 40, failing: 0, perSecond: 400 };
/** Slow, short of workers, silent, failing, asked for far too much, asked for next to nothing. */
const ills: readonly Condition[] = [
  well, { ...well, serviceMs: 200 }, { ...well, workers: 1 }, { ...well, workers: 0 }, { ...well, failing: 0.7 }, { ...well, perSecond: 1_500 }, { ...well, perSecond: 3 }, { ...well, serviceMs: 200, perSecond: 800 },
];

export interface ConcurrencyReport {
  readonly violations: readonly string[];
  readonly admitted: number;
  readonly shed: number;
  readonly timedOut: number;
  readonly lowest: number;
  readonly highest: number;
}

interface Request {
  readonly x: Exchange;
  readonly filter: EdgeFilter;
  readonly atMs: number;
  endsMs: number;
}

/** One seeded run of a service behind the real limit on its concurrency, over two data threads: the service falls ill in many ways, recovers, and is asked for what it can do. */
export class SimConcurrency {
  readonly #random: Random;
  readonly #clock = new ManualClock();
  readonly #invariants = new ConcurrencyInvariants(concurrencyTerms);
  readonly #contexts: readonly TestFilterContext[];
  readonly #filters: readonly EdgeFilter[];
  readonly #live = new MemoryLiveState();
  readonly #working: Request[] = [];
  readonly #waiting: Request[] = [];
  #limit: AdaptiveLimit | null = null;
  #condition = well;
  #owed = 0;
  #offered = 0;
  #answered = 0;
  #timedOut = 0;
  #lowest = concurrencyTerms.limit;
  #highest = concurrencyTerms.limit;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#contexts = Array.from({ length: threads }, (_, own) => new TestFilterContext('concurrency', { clock: this.#clock, random: this.#random, live: this.#live, rows: { rows: threads, own } }));
    this.#filters = this.#contexts.map((context) => {
      const filter = concurrencyRuntime.edge?.(concurrencyTerms, context);
      if (!filter) throw new Error('the kind has no filter at the edge');
      return filter;
    });
  }

  run(): ConcurrencyReport {
    for (let left = faultyMs; left > 0;) {
      const forMs = Math.min(left, 500 + Math.floor(this.#random.next() * 4_000));
      this.#condition = ills[Math.floor(this.#random.next() * ills.length)] ?? well;
      this.#run(forMs);
      left -= forMs;
    }
    this.#condition = well;
    this.#run(healingMs);
    this.#offered = 0;
    this.#answered = 0;
    this.#run(wellMs);
    this.#invariants.goodput(this.#answered, { offered: this.#offered, least: this.#offered * leastShare });
    return { violations: this.#invariants.violations, admitted: this.#invariants.admitted, shed: this.#invariants.shed, timedOut: this.#timedOut, lowest: this.#lowest, highest: this.#highest };
  }

  #run(forMs: number): void {
    for (let ms = 0; ms < forMs; ms += stepMs) {
      this.#clock.advance(stepMs);
      this.#work();
      for (this.#owed += (this.#condition.perSecond * stepMs) / 1_000 * 2 * this.#random.next(); this.#owed >= 1; this.#owed -= 1) this.#request();
    }
  }

  #request(): void {
    this.#offered += 1;
    const nowMs = this.#clock.monotonicMs();
    const thread = Math.floor(this.#random.next() * threads);
    const [context, filter] = [this.#contexts[thread], this.#filters[thread]];
    if (!context || !filter) throw new Error(`there is no thread ${thread}`);
    const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, context);
    const limit = this.#limit?.limit ?? concurrencyTerms.limit;
    const underWay = this.#working.length + this.#waiting.length;
    const letIn = (filter.request?.(x) ?? null) === null;
    this.#limit ??= new AdaptiveLimit(concurrencyTerms, new SharedWords(memoryOf(this.#live)));
    this.#lowest = Math.min(this.#lowest, limit);
    this.#highest = Math.max(this.#highest, limit);
    this.#invariants.decided({ letIn, limit, underWay, nowMs });
    if (letIn) this.#waiting.push({ x, filter, atMs: nowMs, endsMs: Number.POSITIVE_INFINITY });
    else filter.complete?.(x);
  }

  #work(): void {
    const nowMs = this.#clock.monotonicMs();
    const { workers, serviceMs, failing } = this.#condition;
    for (const request of take(this.#working, ({ endsMs }) => endsMs <= nowMs)) {
      const failed = this.#random.next() < failing;
      if (!failed) this.#answered += 1;
      this.#end(request, failed ? 500 : 200);
    }
    for (const list of [this.#working, this.#waiting]) {
      for (const request of take(list, ({ atMs }) => nowMs - atMs >= timeoutMs)) {
        this.#timedOut += 1;
        // Some callers leave before the sidecar answers for the app.
        if (this.#random.next() < 0.3) request.filter.complete?.(request.x);
        else {
          request.x.refusal = { ...tooLate };
          this.#end(request, 504);
        }
      }
    }
    while (this.#waiting.length > 0 && this.#working.length < workers) {
      const next = this.#waiting.shift();
      if (next) this.#working.push(Object.assign(next, { endsMs: nowMs + serviceMs * (0.5 + this.#random.next()) }));
    }
  }

  #end({ x, filter }: Request, status: number): void {
    filter.response?.(x, buildResponseHead({ status }));
    filter.complete?.(x);
  }
}

const tooLate = { reason: reasons.upstreamTimeout, status: 504, fields: [], body: null, contentType: '', detail: '', kind: '', pointer: '' };

/** What both threads count in. */
function memoryOf(live: MemoryLiveState): SharedArrayBuffer {
  for (const [key, { value }] of live.entries) if (key.startsWith('rows/concurrency/')) return (value as { readonly buffer: SharedArrayBuffer }).buffer;
  throw new Error('the filter has no memory');
}

/** Takes those out of the list that are meant. */
function take<T>(from: T[], meant: (item: T) => boolean): T[] {
  const taken = from.filter(meant);
  if (taken.length > 0) from.splice(0, from.length, ...from.filter((item) => !meant(item)));
  return taken;
}
