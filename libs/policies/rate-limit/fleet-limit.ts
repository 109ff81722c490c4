import type { Exchange } from '@remora/policy-kit/exchange';
import type { InstanceShare } from '@remora/policy-kit/instance-share';
import {
  ask, denied, deniedUntilOf, grantedWindow, keepGranted, leaseFreeAt, leaseRules, leasedRemaining, leasedResetAt, nextWish, returnLeased, runsLow, shouldAskAhead, taken, takeLeased,
  type LeaseRules, type Taking,
} from '@remora/policy-kit/store/lease';
import type { Counting, StoreAnswer, StoreAsk } from '@remora/policy-kit/store/store-questions';
import { emptyDecision, type Algorithm, type Decision } from './algorithm.ts';
import { cellStride } from './cell-table.ts';
import type { FleetCounts } from './fleet-counts.ts';
import { KeyHash } from './key-hash.ts';
import type { KeyReader, KeySink } from './key-reader.ts';
import { LocalShare, createAlgorithm, type CountingLimit, type Divisible, type Waiting } from './limit.ts';
import type { LimitSettings } from './wire.ts';

/** What one request asks of the store about one limit; it outlives the request. */
export interface FleetAsk {
  readonly limit: FleetLimit;
  readonly wire: StoreAsk;
  /** Hash of the key in this sidecar. */
  readonly high: number;
  readonly low: number;
  /** Monotonic milliseconds. */
  readonly askedMs: number;
}

export interface FleetLimitOptions {
  readonly settings: Divisible & Pick<LimitSettings, 'name' | 'onStoreFailure'>;
  readonly pointer: string;
  /** Readable name, and what makes a limit this limit, for all sidecars alike. */
  readonly storeName: string;
  readonly storeIdentity: string;
  readonly applies: ((x: Exchange) => boolean) | null;
  readonly readKey: KeyReader;
  readonly counts: FleetCounts;
  readonly instances: InstanceShare;
}

/**
 * A limit that the whole fleet counts in the store of the Mesh. What its cells hold here: a lease of tokens, until when the store has nothing, and what this
 * instance let in by itself, so that its part of the limit is known when the store goes away.
 */
export class FleetLimit implements CountingLimit {
  readonly fleet = true;
  readonly settings: FleetLimitOptions['settings'];
  readonly pointer: string;
  readonly algorithm: Algorithm;
  readonly decision: Decision = emptyDecision();
  readonly waiting: Waiting;
  readonly #options: FleetLimitOptions;
  readonly #rules: LeaseRules;
  readonly #share: LocalShare;
  readonly #counting: Counting;
  readonly #cells: Pick<Algorithm, 'freeAt'>;
  readonly #scratch = emptyDecision();
  #hash: KeyHash | null = null;
  /** Of the lease that was taken from last. */
  #low = false;

  constructor(options: FleetLimitOptions) {
    const { settings, counts, instances } = options;
    this.#options = options;
    this.settings = settings;
    this.pointer = options.pointer;
    this.waiting = counts.waiting;
    this.algorithm = createAlgorithm(settings);
    this.#counting = countingOf[settings.algorithm];
    this.#rules = leaseRules({ requests: settings.requests, perMs: settings.perMs, capacity: this.algorithm.quota, cost: settings.cost, placed: this.#counting === 'queue', windowed: this.#counting === 'fixed' });
    this.#share = new LocalShare(settings, instances);
    this.#cells = { freeAt: (cells, at) => Math.max(this.#share.algorithm.freeAt(cells, at), leaseFreeAt(cells, at + cellStride)) };
  }

  /** Whether tokens are taken beforehand. */
  get leases(): boolean {
    return this.#rules.max > 0;
  }

  appliesTo(x: Exchange): boolean {
    return this.#options.applies === null || this.#options.applies(x);
  }

  /** What this sidecar can say by itself. `denied` fills the decision, and so does `taken`. */
  take(x: Exchange, nowMs: number): Taking {
    const at = this.#acquire(x, nowMs);
    const { cells } = this.#options.counts.table;
    const taking = takeLeased(cells, at + cellStride, nowMs, this.settings.cost);
    if (taking === taken) this.#countHere(cells, at, nowMs);
    this.#low = this.#rules.max > 0 && runsLow(cells, at + cellStride);
    if (taking !== ask) this.#describe(cells, at, nowMs, taking === taken);
    this.#release();
    return taking;
  }

  /** Behind `take` of the same request: the question for the next lease where it is time, once for all who could ask; null: it is not. */
  askAhead(x: Exchange, nowMs: number, patienceMs: number): FleetAsk | null {
    if (!this.#low) return null;
    const at = this.#acquire(x, nowMs);
    const { cells } = this.#options.counts.table;
    const should = shouldAskAhead(cells, at + cellStride, nowMs, patienceMs);
    const want = should ? nextWish(cells, at + cellStride, nowMs, this.#rules, this.settings.cost) : 0;
    this.#release();
    return should ? this.#makeAsk(x, want, nowMs) : null;
  }

  /** The question of a request that has nothing to take. */
  askNow(x: Exchange, nowMs: number): FleetAsk {
    const at = this.#acquire(x, nowMs);
    const want = nextWish(this.#options.counts.table.cells, at + cellStride, nowMs, this.#rules, this.settings.cost);
    this.#release();
    return this.#makeAsk(x, want, nowMs);
  }

  /** The store's answer. `spend`: the request that asked is still there, and takes its cost of what was granted. Answers whether it may pass. */
  settle(one: FleetAsk, answer: StoreAnswer, nowMs: number, spend: boolean): boolean {
    const { high, low, wire, askedMs } = one;
    const { counts } = this.#options;
    const { table } = counts;
    const { cost } = this.settings;
    const granted = answer.granted >= cost;
    const at = table.acquire(high, low, this.#cells, nowMs);
    const { cells } = table;
    keepGranted(cells, at + cellStride, { answer, want: wire.want, spent: granted && (spend || this.#rules.max === 0) ? cost : 0, rules: this.#rules, nowMs, askedMs });
    if (granted && spend) this.#countHere(cells, at, nowMs);
    this.#describe(cells, at, nowMs, granted);
    this.decision.waitMs = granted && this.#counting === 'queue' ? answer.waitMs : 0;
    if (!granted) this.decision.retryAfterMs = Math.max(answer.retryAfterMs, this.decision.retryAfterMs);
    table.release(high);
    if (granted && this.#rules.max > 0) counts.granted(one);
    return granted;
  }

  /** Nobody waits any more for what was settled last. */
  settled(one: FleetAsk): void {
    if (this.#rules.max > 0) this.#options.counts.settled(one);
  }

  /** The store says nothing: this instance's part of the limit decides. */
  decideHere(x: Exchange, nowMs: number): boolean {
    const at = this.#acquire(x, nowMs);
    const { cells } = this.#options.counts.table;
    this.#share.algorithm.decide(cells, at, nowMs, true, this.decision);
    this.#release();
    return this.decision.allowed;
  }

  /** Takes nothing from anybody: the store is away, and that is to be no obstacle. */
  letPass(): void {
    Object.assign(this.decision, emptyDecision(), { remaining: this.algorithm.quota });
  }

  /** What a request took and another limit refused. Null: it went back into the lease here; else what to give back to the store. */
  giveBack(x: Exchange, nowMs: number): StoreAsk | null {
    const at = this.#acquire(x, nowMs);
    if (this.#rules.max > 0) returnLeased(this.#options.counts.table.cells, at + cellStride, this.settings.cost);
    const window = grantedWindow(this.#options.counts.table.cells, at + cellStride);
    this.#release();
    return this.#rules.max > 0 ? null : { ...this.#makeAsk(x, 0, nowMs).wire, want: -this.settings.cost, window };
  }

  /** What was granted to a request that is gone: the whole of it, where nobody else could use it. Null: it is in the lease, or it is too late: what it was taken from has begun anew. */
  unused({ wire, askedMs }: FleetAsk, answer: StoreAnswer, nowMs: number): StoreAsk | null {
    const late = nowMs - askedMs >= this.#returnableMs(answer);
    return this.#rules.max > 0 || answer.granted === 0 || late ? null : { ...wire, want: -answer.granted, window: answer.window ?? 0 };
  }

  /** Not asked: those who decide over limits of the fleet do it by `take` and `settle`. */
  decide(x: Exchange, nowMs: number): Decision {
    this.decideHere(x, nowMs);
    return this.decision;
  }

  takeOverflows(): number {
    const { table } = this.#options.counts;
    const count = table.overflows;
    table.overflows = 0;
    return count;
  }

  /** Given back later, it would be one more in the next window; of a bucket, as much has flowed in meanwhile, and may have been used. */
  #returnableMs({ resetMs }: StoreAnswer): number {
    const { requests, perMs } = this.settings;
    switch (this.#counting) {
      case 'fixed': return resetMs;
      case 'sliding': return resetMs - perMs;
      case 'bucket':
      case 'queue': return perMs / requests;
      case 'total': return Number.POSITIVE_INFINITY;
    }
  }

  #countHere(cells: Float64Array, at: number, nowMs: number): void {
    this.#share.algorithm.decide(cells, at, nowMs, true, this.#scratch);
  }

  #describe(cells: Float64Array, at: number, nowMs: number, allowed: boolean): void {
    const lease = at + cellStride;
    this.decision.allowed = allowed;
    this.decision.waitMs = 0;
    this.decision.retryAfterMs = allowed ? 0 : Math.max(0, deniedUntilOf(cells, lease) - nowMs);
    this.decision.remaining = allowed ? Math.max(0, Math.floor(leasedRemaining(cells, lease))) : 0;
    this.decision.resetMs = Math.max(0, leasedResetAt(cells, lease) - nowMs);
  }

  #makeAsk(x: Exchange, want: number, askedMs: number): FleetAsk {
    const { high, low } = this.#hashOf(x);
    const { requests, perMs, burst, cost } = this.settings;
    const { storeName: name, storeIdentity } = this.#options;
    const key = new KeyText();
    this.#options.readKey(x, key);
    return { limit: this, high, low, askedMs, wire: { counting: this.#counting, name, identity: `${storeIdentity}\n${key.text}`, requests, perMs, burst, cost, want, untilMs: 0 } };
  }

  #acquire(x: Exchange, nowMs: number): number {
    const { high, low } = this.#hashOf(x);
    return this.#options.counts.table.acquire(high, low, this.#cells, nowMs);
  }

  #release(): void {
    this.#options.counts.table.release((this.#hash as KeyHash).high);
  }

  #hashOf(x: Exchange): KeyHash {
    const { counts, storeIdentity } = this.#options;
    this.#hash ??= new KeyHash(...counts.seed());
    const hash = this.#hash;
    hash.start();
    hash.add(1, storeIdentity);
    this.#options.readKey(x, hash);
    hash.finish();
    return hash;
  }
}

export { ask, denied, taken };

const countingOf: Readonly<Record<LimitSettings['algorithm'], Counting>> = { tokenBucket: 'bucket', leakyBucket: 'queue', fixedWindow: 'fixed', slidingWindow: 'sliding' };

/** The parts of a key as a text in which no two keys are alike. */
class KeyText implements KeySink {
  text = '';

  add(tag: number, part: string): void {
    this.text += `${tag}:${part.length}:${part};`;
  }
}
