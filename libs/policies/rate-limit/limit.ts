import { buildEntryMatch, type ExchangeTest } from '@remora/policy-kit/entry-match';
import type { Exchange } from '@remora/policy-kit/exchange';
import type { FilterContext, SharedMemory } from '@remora/policy-kit/runtime-kind';
import { emptyDecision, type Algorithm, type Decision } from './algorithm.ts';
import { CellTable } from './cell-table.ts';
import { createGcra } from './gcra.ts';
import { KeyHash } from './key-hash.ts';
import { createKeyReader, type KeyReader } from './key-reader.ts';
import { createFixedWindow, createSlidingWindow } from './windows.ts';
import type { LimitSettings } from './wire.ts';

/** What decides over a request, whoever set it. */
export interface CountingLimit {
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

/** One named limit of a section, ready to decide. Its counts are kept over snapshots while its settings are the same. */
export class Limit implements CountingLimit {
  readonly settings: LimitSettings;
  readonly pointer: string;
  readonly algorithm: Algorithm;
  readonly decision: Decision = emptyDecision();
  readonly waiting: Waiting;
  readonly #applies: ExchangeTest | null;
  readonly #readKey: KeyReader;
  readonly #counts: Counts;
  #hash: KeyHash | null = null;

  constructor(settings: LimitSettings, context: FilterContext) {
    this.settings = settings;
    this.pointer = `/limits/${settings.name}`;
    this.algorithm = createAlgorithm(settings);
    this.#applies = buildEntryMatch(settings.match, context);
    this.#readKey = createKeyReader(settings.key, settings.keyRule, `${this.pointer}/key`);
    const owner = ownerOf(settings, context);
    const memory = context.shared?.(...owner, CellTable.bytesFor(settings.maxKeys)) ?? null;
    this.#counts = context.live.keep(...owner, () => new Counts(settings, context, memory));
    this.waiting = this.#counts.waiting;
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
    const at = table.acquire(hash.high, hash.low, this.algorithm, nowMs);
    this.algorithm.decide(table.cells, at, nowMs, commit, this.decision);
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

  constructor(settings: Pick<LimitSettings, 'maxKeys'>, context: FilterContext, memory: SharedMemory | null) {
    this.#make = () => new CellTable(memory?.buffer ?? new ArrayBuffer(CellTable.bytesFor(settings.maxKeys)), settings.maxKeys);
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
function ownerOf(settings: LimitSettings, context: FilterContext): [string, string] {
  const owner = context.scope.slice(0, context.scope.lastIndexOf('/'));
  const shape = JSON.stringify(settings);
  return [`rateLimit/${owner}/${context.shadow ? 'shadow/' : ''}${settings.name}/${shape}`, shape];
}

export function createAlgorithm({ algorithm, requests, perMs, burst, cost }: Pick<LimitSettings, 'algorithm' | 'requests' | 'perMs' | 'burst' | 'cost'>): Algorithm {
  switch (algorithm) {
    case 'tokenBucket': return createGcra({ requests, perMs, burst, cost, queue: false });
    case 'leakyBucket': return createGcra({ requests, perMs, burst, cost, queue: true });
    case 'fixedWindow': return createFixedWindow({ requests, perMs, cost });
    case 'slidingWindow': return createSlidingWindow({ requests, perMs, cost });
  }
}
