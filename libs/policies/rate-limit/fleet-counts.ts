import type { Clock } from '@remora/core/clock';
import type { FilterContext, Lapsing, SharedMemory } from '@remora/policy-kit/runtime-kind';
import { grantedWindow, leaseStride, takeRest } from '@remora/policy-kit/store/lease';
import { StoreLine } from '@remora/policy-kit/store/store-line';
import type { StoreAsk } from '@remora/policy-kit/store/store-questions';
import { cellStride } from './cell-table.ts';
import { Counts } from './limit.ts';
import type { LimitSettings } from './wire.ts';

/** Numbers per cell: what this instance let in, then its lease. */
export const fleetStride = cellStride + leaseStride;

/** Whose tokens were leased. */
export interface LeasedKey {
  readonly high: number;
  readonly low: number;
  readonly wire: StoreAsk;
}

/**
 * Counts of limits of the fleet. They know what this thread leased of which key, so that it goes back when the limit is no more, or the sidecar ends. Threads share the
 * cells: each gives back what it asked for itself.
 */
export class FleetCounts extends Counts implements Lapsing {
  readonly #line: StoreLine;
  readonly #clock: Clock;
  readonly #leased = new Map<number, LeasedKey>();
  #lapsed = false;

  constructor(settings: Pick<LimitSettings, 'maxKeys'>, context: FilterContext, memory: SharedMemory | null) {
    super(settings, context, memory, fleetStride);
    this.#line = StoreLine.of(context);
    this.#clock = context.clock;
  }

  /** The store gave tokens beforehand. Beyond `leasedMax` keys those that came longest ago are forgotten: their tokens end by themselves. */
  granted(key: LeasedKey): void {
    const number = keyNumber(key);
    this.#leased.delete(number);
    for (const oldest of this.#leased.keys()) {
      if (this.#leased.size < leasedMax) break;
      this.#leased.delete(oldest);
    }
    this.#leased.set(number, key);
  }

  /** All who waited for these tokens have taken theirs: where nobody will come for the rest, it goes back. */
  settled(key: LeasedKey): void {
    if (this.#lapsed) this.#giveBack([key]);
  }

  lapse(): void {
    this.#lapsed = true;
    this.#giveBack([...this.#leased.values()]);
    this.#leased.clear();
  }

  #giveBack(keys: readonly LeasedKey[]): void {
    const back = keys.flatMap(({ high, low, wire }) => {
      const { left, window } = this.#takeRest(high, low);
      return left > 0 ? { ...wire, want: -left, window } : [];
    });
    if (back.length > 0) this.#line.giveBack(back);
  }

  #takeRest(high: number, low: number): { readonly left: number; readonly window: number } {
    const at = this.table.acquireKnown(high, low);
    if (at < 0) return { left: 0, window: 0 };
    const left = takeRest(this.table.cells, at + cellStride, this.#clock.monotonicMs());
    const window = grantedWindow(this.table.cells, at + cellStride);
    this.table.release(high);
    return { left, window };
  }
}

export const leasedMax = 4_096;

/** Two keys with the same number are one: of them only the last is given back. */
export function keyNumber({ high, low }: Pick<LeasedKey, 'high' | 'low'>): number {
  return (high >>> 0) * 0x20_0000 + ((low >>> 0) & 0x1f_ffff);
}
