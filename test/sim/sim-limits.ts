import type { JsonObject } from '@remora/core/canonical-json';
import { seededRandom, type Random } from '@remora/core/random';
import { WAIT, type EdgeFilter, type Exchange } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import { quotaAuthoring } from '@remora/policy-quota/compile';
import { quotaRuntime } from '@remora/policy-quota/filter';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { rateLimitRuntime } from '@remora/policy-rate-limit/filter';
import { consumerFacts } from '@remora/testing/consumer-facts';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { ManualClock } from '@remora/testing/manual-clock';
import { LimitInvariants, type LimitTerms } from './limit-invariants.ts';
import { SimStore } from './sim-store.ts';

const stepMs = 5;
const deadlineMs = 20;
const sidecars = 3;
const faultyMs = 8_000;
/** The longest pause of a sidecar that found the store failing, and one that tries. */
const healingMs = 8_000;
/** What a sidecar may hold of a bucket: leases that were asked for before it found that answers are late, each of a seventy-fifth. */
const heldMax = 5 / 75;

interface World extends LimitTerms {
  /** null: a quota. */
  readonly algorithm: 'fixedWindow' | 'tokenBucket' | null;
  readonly perSecond: number;
  /** What one who crashes may hold. */
  readonly block: number;
  /** Of a window's requests, what may not pass though all is well. */
  readonly idle: number;
}

const late = { lateMs: deadlineMs + stepMs };

/** Up to 1,000 a limit is exact; beyond, sidecars take leases, and blocks of a quota. */
const worlds: readonly World[] = [
  { ...late, counting: 'window', algorithm: 'fixedWindow', requests: 60, perMs: 1_000, burst: 0, leased: 0, perSecond: 100, block: 0, idle: 0 },
  { ...late, counting: 'bucket', algorithm: 'tokenBucket', requests: 60, perMs: 1_000, burst: 30, leased: 0, perSecond: 100, block: 0, idle: 0.05 },
  { ...late, counting: 'window', algorithm: 'fixedWindow', requests: 1_200, perMs: 4_000, burst: 0, leased: 0, perSecond: 400, block: 0, idle: 0.05 },
  { ...late, counting: 'bucket', algorithm: 'tokenBucket', requests: 1_200, perMs: 4_000, burst: 1_100, leased: sidecars * 1_100 * heldMax, perSecond: 450, block: 0, idle: 0.05 },
  { ...late, counting: 'total', algorithm: null, requests: 3_000, perMs: 0, burst: 0, leased: 0, perSecond: 300, block: 3, idle: 0 },
];

export const limitWorlds = worlds.length;

export interface LimitsReport {
  readonly violations: readonly string[];
  readonly admitted: number;
  readonly refused: number;
  readonly crashes: number;
  readonly lost: number;
}

/** One seeded run of sidecars that count a limit or a quota together: the real filters, over a store and a way to it that fail, while sidecars crash and return. */
export class SimLimits {
  readonly #random: Random;
  readonly #clock = new ManualClock();
  readonly #store: SimStore;
  readonly #world: World;
  readonly #invariants: LimitInvariants;
  readonly #sidecars: (Sidecar | null)[] = [];
  readonly #backAt: number[] = [];
  #refused = 0;
  #crashes = 0;
  #owed = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#store = new SimStore(this.#clock, this.#random);
    this.#world = worlds[seed % worlds.length] as World;
    this.#invariants = new LimitInvariants(this.#world);
    for (let nth = 0; nth < sidecars; nth++) this.#sidecars.push(this.#start());
  }

  run(): LimitsReport {
    const { perMs, idle, block, counting } = this.#world;
    this.#run(faultyMs, true);
    this.#store.heal();
    this.#run(healingMs, false);
    if (counting !== 'total') this.#run(perMs - this.#clock.wallMs() % perMs, false);
    const wellFrom = this.#clock.wallMs();
    this.#run(Math.max(perMs, 2_000), false);
    this.#invariants.noneBeyond(this.#store.lost);
    if (counting === 'total') this.#invariants.noneLost(this.#store.lost + this.#crashes * block * 2);
    else this.#invariants.allAgain(wellFrom, idle);
    return { violations: this.#invariants.violations, admitted: this.#invariants.admitted, refused: this.#refused, crashes: this.#crashes, lost: this.#store.lost };
  }

  #run(forMs: number, faults: boolean): void {
    for (let ms = 0; ms < forMs; ms += stepMs) {
      this.#clock.advance(stepMs);
      this.#store.tick();
      for (let nth = 0; nth < sidecars; nth++) this.#step(nth, faults);
      for (this.#owed += (this.#world.perSecond * stepMs) / 1_000; this.#owed >= 1; this.#owed -= 1) this.#sidecars[Math.floor(this.#random.next() * sidecars)]?.request();
    }
  }

  #step(nth: number, faults: boolean): void {
    const sidecar = this.#sidecars[nth] ?? null;
    if (sidecar === null) {
      if (!faults || this.#clock.monotonicMs() >= (this.#backAt[nth] ?? 0)) this.#sidecars[nth] = this.#start();
    } else if (faults && this.#random.next() < crashesPerMs * stepMs) {
      this.#crashes += 1;
      sidecar.alive = false;
      this.#sidecars[nth] = null;
      this.#backAt[nth] = this.#clock.monotonicMs() + this.#random.next() * 500;
    } else sidecar.tick();
  }

  #start(): Sidecar {
    return new Sidecar(this.#world, {
      clock: this.#clock, random: this.#random, store: this.#store,
      passed: (askedMs) => this.#invariants.passed(askedMs, this.#clock.wallMs()),
      refused: () => { this.#refused += 1; },
    });
  }
}

/** Of each sidecar. */
const crashesPerMs = 1 / 2_500;

interface Surroundings {
  readonly clock: ManualClock;
  readonly random: Random;
  readonly store: SimStore;
  readonly passed: (askedMs: number) => void;
  readonly refused: () => void;
}

class Sidecar {
  alive = true;
  readonly #around: Surroundings;
  readonly #context: TestFilterContext;
  readonly #filter: EdgeFilter;

  constructor(world: World, around: Surroundings) {
    this.#around = around;
    this.#context = new TestFilterContext(world.algorithm === null ? 'quota' : 'rateLimit', { clock: around.clock, random: around.random });
    around.store.counts.announce(this.#context.factBooks, deadlineMs);
    this.#filter = filterOf(world, this.#context);
  }

  request(): void {
    const { clock, passed, refused } = this.#around;
    const askedMs = clock.wallMs();
    const x: Exchange = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, this.#context);
    x.identity = new RequestIdentity();
    x.identity.finds('apiKey', { consumer: { name: 'acme', groups: [], plan: 'gold' }, subject: '', issuer: '', claims: null, scopes: [] });
    const ends = (end: () => void) => (token: number): void => {
      if (x.token !== token) return;
      x.token += 1;
      this.#context.timers.cancel(x);
      end();
    };
    x.proceed = ends(() => passed(askedMs));
    x.answer = ends(refused);
    const verdict = this.#filter.request?.(x) ?? null;
    if (verdict === null) passed(askedMs);
    else if (verdict !== WAIT) refused();
    this.#send();
  }

  tick(): void {
    this.#context.timers.advance(0);
    this.#send();
  }

  #send(): void {
    for (const { body, answered } of this.#context.asked.splice(0)) this.#around.store.ask(body, () => this.alive, answered);
  }
}

function filterOf({ algorithm, requests, perMs, burst }: World, context: TestFilterContext): EdgeFilter {
  const filter = algorithm === null ? quotaOf(requests, context) : rateLimitOf({
    algorithm, requests, per: `${perMs}ms`, ...(burst > 0 ? { burst } : {}), sharedBy: 'fleet', onStoreFailure: 'closed', maxKeys: 64,
  }, context);
  if (!filter) throw new Error('the kind has no filter at the edge');
  return filter;
}

function rateLimitOf(limit: JsonObject, context: TestFilterContext): EdgeFilter | null | undefined {
  return rateLimitRuntime.edge?.(rateLimitRuntime.decode(rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { limits: { whole: limit }, headerStyle: 'none' })).body), context);
}

function quotaOf(requests: number, context: TestFilterContext): EdgeFilter | null | undefined {
  const monthly = { name: 'monthly', requests, per: 'month', timeZone: 'UTC', startsOn: 1, throttleRequests: 0, throttlePerMs: 0 };
  context.factBooks.apply(consumerFacts({ plans: { plans: [{ name: 'gold', limits: [], quotas: [monthly] }] } }));
  return quotaRuntime.edge?.(quotaRuntime.decode(quotaAuthoring.compile(effectiveSection(quotaAuthoring, { headers: false, onStoreFailure: 'closed' })).body), context);
}
