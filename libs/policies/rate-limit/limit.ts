import { buildEntryMatch, type ExchangeTest } from '@remora/policy-kit/entry-match';
import type { Exchange } from '@remora/policy-kit/exchange';
import { InstanceShare, instancesFactKind } from '@remora/policy-kit/instance-share';
import type { FilterContext, SharedMemory } from '@remora/policy-kit/runtime-kind';
import { emptyDecision, type Algorithm, type Decision } from './algorithm.ts';
import { CellTable, cellStride } from './cell-table.ts';
import { createGcra } from './gcra.ts';
import { KeyHash } from './key-hash.ts';
import { createKeyReader, type KeyReader } from './key-reader.ts';
import { createFixedWindow, createSlidingWindow } from './windows.ts';
import type { LimitSettings } from './wire.ts';

/** What decides over a request, whoever set it. */
export interface CountingLimit {
  /** Counted in the store of the Mesh. */
  readonly fleet: boolean;
  readonly settings: Pick<LimitSettings, 'name' | 'requests' | 'perMs'>;
  /** Where it is set, for refusals. */
  readonly pointer: string;
  readonly algorithm: Algorithm;
  readonly decision: Decision;
  readonly waiting: Waiting;
  appliesTo(x: Exchange): boolean;
  decide(x: Exchange, nowMs: number, commit: boolean): Decision;
  takeOverflows(): number;
}

/** What a limit is made of that counts in tables of this sidecar. */
export interface LimitParts {
  readonly settings: Pick<LimitSettings, 'name' | 'requests' | 'perMs' | 'algorithm'>;
  readonly pointer: string;
  readonly share: LocalShare;
  /** null: to every request. */
  readonly applies: ExchangeTest | null;
  readonly readKey: KeyReader;
  readonly counts: Counts;
  readonly waiting: Waiting;
}

/** A limit that counts in tables of this sidecar, ready to decide: of a section, or of a Plan. */
export class Limit implements CountingLimit {
  readonly fleet = false;
  readonly settings: LimitParts['settings'];
  readonly pointer: string;
  readonly decision: Decision = emptyDecision();
  readonly waiting: Waiting;
  readonly #share: LocalShare;
  readonly #applies: ExchangeTest | null;
  readonly #readKey: KeyReader;
  readonly #counts: Counts;
  #hash: KeyHash | null = null;

  constructor({ settings, pointer, share, applies, readKey, counts, waiting }: LimitParts) {
    this.settings = settings;
    this.pointer = pointer;
    this.waiting = waiting;
    this.#share = share;
    this.#applies = applies;
    this.#readKey = readKey;
    this.#counts = counts;
  }

  get algorithm(): Algorithm {
    return this.#share.algorithm;
  }

  appliesTo(x: Exchange): boolean {
    return this.#applies === null || this.#applies(x);
  }

  /** Fills `decision`; takes the cost where `commit` is set and the request is allowed. */
  decide(x: Exchange, nowMs: number, commit: boolean): Decision {
    const { table } = this.#counts;
    this.#hash ??= new KeyHash(...this.#counts.seed());
    const hash = this.#hash;
    hash.start();
    this.#readKey(x, hash);
    hash.finish();
    const { algorithm } = this.#share;
    const at = table.acquire(hash.high, hash.low, algorithm, nowMs);
    algorithm.decide(table.cells, at, nowMs, commit, this.decision);
    table.release(hash.high);
    return this.decision;
  }

  /** Keys forgotten for want of room since the last call. */
  takeOverflows(): number {
    const { table } = this.#counts;
    const count = table.overflows;
    table.overflows = 0;
    return count;
  }
}

/** One named limit of a section. Its counts are kept over snapshots while its settings are the same. */
export function createLimit(settings: LimitSettings, context: FilterContext): Limit {
  const pointer = `/limits/${settings.name}`;
  const owner = ownerOf(settings, context);
  const memory = context.shared?.(...owner, CellTable.bytesFor(settings.maxKeys)) ?? null;
  const counts = context.live.keep(...owner, () => new Counts(settings, context, memory));
  return new Limit({
    settings, pointer, counts, waiting: counts.waiting,
    share: new LocalShare(settings, settings.sharedBy === 'service' ? new InstanceShare(context.facts(instancesFactKind)) : null),
    applies: buildEntryMatch(settings.match, context),
    readKey: createKeyReader(settings.key, settings.keyRule, `${pointer}/key`),
  });
}

/** What a limit is at one instance: the whole, or its part where several instances share it by their number. */
export class LocalShare {
  readonly #settings: Divisible;
  readonly #instances: InstanceShare | null;
  #count = 1;
  #algorithm: Algorithm;

  /** `instances` null: the whole. */
  constructor(settings: Divisible, instances: InstanceShare | null) {
    this.#settings = settings;
    this.#instances = instances;
    this.#algorithm = createAlgorithm(settings);
  }

  get algorithm(): Algorithm {
    if (this.#instances !== null && this.#instances.count !== this.#count) {
      this.#count = this.#instances.count;
      this.#algorithm = createAlgorithm(divide(this.#settings, this.#count));
    }
    return this.#algorithm;
  }
}

/** The part of one of `count` instances: never so small that no request passes. */
export function divide({ algorithm, requests, perMs, burst, cost }: Divisible, count: number): Divisible {
  const rest = { algorithm, perMs, cost };
  switch (algorithm) {
    case 'tokenBucket': return { ...rest, requests: requests / count, burst: Math.max(cost, burst / count) };
    case 'leakyBucket': return { ...rest, requests: requests / count, burst: Math.max(cost - 1, Math.floor(burst / count)) };
    case 'fixedWindow':
    case 'slidingWindow': return { ...rest, requests: Math.max(cost, Math.floor(requests / count)), burst: 0 };
  }
}

export type Divisible = Pick<LimitSettings, 'algorithm' | 'requests' | 'perMs' | 'burst' | 'cost'>;

/** Requests held back by a leaky bucket, over all its keys. */
export interface Waiting {
  count: number;
}

/** The live state of one limit, or of several that share a table: made at the first request, so that a thousand routes with limits cost nothing before they are used. */
export class Counts {
  readonly waiting: Waiting = { count: 0 };
  readonly #make: () => CellTable;
  readonly #draw: () => number;
  #table: CellTable | null = null;

  constructor(settings: Pick<LimitSettings, 'maxKeys'>, context: FilterContext, memory: SharedMemory | null, stride = cellStride) {
    this.#make = () => new CellTable(memory?.buffer ?? new ArrayBuffer(CellTable.bytesFor(settings.maxKeys, stride)), settings.maxKeys, stride);
    this.#draw = () => context.random.next();
  }

  get table(): CellTable {
    this.#table ??= this.#make();
    return this.#table;
  }

  seed(): readonly [number, number] {
    return this.table.seed(this.#draw);
  }
}

/**
 * Routes of one owner share the counts of a limit that is the same for them, as the one who set it on the whole service
 * means it. The settings are part of the key: where a route overrides the limit, it counts apart.
 */
export function ownerOf(settings: LimitSettings, context: FilterContext): [string, string] {
  const owner = context.scope.slice(0, context.scope.lastIndexOf('/'));
  const shape = JSON.stringify(settings);
  return [`rateLimit/${owner}/${context.shadow ? 'shadow/' : ''}${settings.name}/${shape}`, shape];
}

export function createAlgorithm({ algorithm, requests, perMs, burst, cost }: Divisible): Algorithm {
  switch (algorithm) {
    case 'tokenBucket': return createGcra({ requests, perMs, burst, cost, queue: false });
    case 'leakyBucket': return createGcra({ requests, perMs, burst, cost, queue: true });
    case 'fixedWindow': return createFixedWindow({ requests, perMs, cost });
    case 'slidingWindow': return createSlidingWindow({ requests, perMs, cost });
  }
}
