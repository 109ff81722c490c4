import type { Timer, Timers } from '@remora/core/clock';
import type { Store } from '../store/store.ts';

/** Something that one control plane of a store does, and no second one at the same time. */
export interface BackgroundWork {
  readonly name: string;
  /** The lease is ours. */
  start(): void;
  /** It is not any more, or the process ends. */
  stop(): void;
}

const namespace = 'leases';
const key = 'background';
/** How often it is looked whether another process took the lease: for so long two may work. */
const lookEveryMs = 1_000;

/**
 * The one lease of a store for work in the background: following sources, compaction. Whoever starts last has it, because its fence, a number of the store, is the highest;
 * a process that sees a higher one than its own ends its work for good. With SQLite, whose file one process has, that is the only one; a store that several share needs nothing else.
 */
export class WorkLease {
  readonly fence: number;
  readonly #store: Pick<Store, 'records' | 'putRecords'>;
  readonly #lost: (by: number) => void;
  readonly #works: BackgroundWork[] = [];
  readonly #timer: Timer;
  #state: 'waiting' | 'held' | 'over' = 'waiting';

  /** `lost`: another process has it now, with this fence. */
  constructor(deps: { readonly store: Pick<Store, 'records' | 'putRecords' | 'nextFence'>; readonly timers: Timers; readonly lost: (by: number) => void }) {
    this.#store = deps.store;
    this.#lost = deps.lost;
    this.fence = deps.store.nextFence();
    this.#timer = deps.timers.every(lookEveryMs, () => this.look());
  }

  get held(): boolean {
    return this.#state === 'held';
  }

  /** Takes the lease and starts what was added, in that order. */
  take(): void {
    if (this.#state !== 'waiting' || this.#holder() > this.fence) return;
    this.#store.putRecords(namespace, new Map([[key, { fence: this.fence }]]));
    this.#state = 'held';
    for (const work of this.#works) work.start();
  }

  /** Work for as long as the lease is held. */
  add(work: BackgroundWork): void {
    this.#works.push(work);
    if (this.held) work.start();
  }

  /** Ends the work where another process has the lease. */
  look(): void {
    const holder = this.#holder();
    if (this.#state !== 'held' || holder <= this.fence) return;
    this.#end();
    this.#lost(holder);
  }

  close(): void {
    if (this.held) this.#end();
    this.#state = 'over';
    this.#timer.cancel();
  }

  #end(): void {
    this.#state = 'over';
    for (const work of this.#works.toReversed()) work.stop();
  }

  #holder(): number {
    const fence = this.#store.records(namespace).get(key)?.['fence'];
    return typeof fence === 'number' ? fence : 0;
  }
}
