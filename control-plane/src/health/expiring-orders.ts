import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Store } from '../store/store.ts';
import { ClockSteps, lookForStepsMs } from './clock-steps.ts';

/** Something that somebody decided about a service, until a time. */
export interface ExpiringOrder {
  readonly service: string;
  readonly atMs: number;
  readonly untilMs: number;
}

export interface ExpiringOrdersDeps {
  readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;
  readonly clock: Clock;
  readonly timers: Timers;
}

/**
 * Orders of people that are no part of any revision and end by themselves, by key, in one namespace of the store. Each is for a time from when it was given: where the
 * wall clock is set, its ends move along.
 */
export class ExpiringOrders<T extends ExpiringOrder> {
  readonly #deps: ExpiringOrdersDeps;
  readonly #namespace: string;
  readonly #steps: ClockSteps;
  readonly #orders = new Map<string, T>();
  readonly #listeners = new Set<(service: string) => void>();
  #timer: Timer | null = null;

  /** `read`: null where a record is none that is understood. */
  constructor(deps: ExpiringOrdersDeps, namespace: string, read: (record: JsonObject, key: string) => T | null) {
    this.#deps = deps;
    this.#namespace = namespace;
    this.#steps = new ClockSteps(deps.clock);
    for (const [key, record] of deps.store.records(namespace)) {
      const order = read(record, key);
      if (order) this.#orders.set(key, order);
    }
    this.#sweep();
  }

  /** What holds under a key; null: nothing. */
  get(key: string): T | null {
    const order = this.#orders.get(key);
    return order === undefined || order.untilMs <= this.#steps.nowMs() ? null : order;
  }

  /** What still holds, in no order. */
  list(): readonly T[] {
    const nowMs = this.#steps.nowMs();
    return [...this.#orders.values()].filter(({ untilMs }) => untilMs > nowMs);
  }

  /** Hears of services whose orders changed or ended. */
  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Durable when it returns; replaces what stood under the key. */
  put(key: string, order: T, record: JsonObject): void {
    this.#sweep();
    this.#orders.set(key, order);
    this.#deps.store.putRecords(this.#namespace, new Map([[key, record]]));
    this.#deps.store.flushRecords();
    this.#arm();
    this.#tell(order.service);
  }

  close(): void {
    this.#timer?.cancel();
    this.#listeners.clear();
  }

  #tell(service: string): void {
    for (const listener of this.#listeners) listener(service);
  }

  /** Forgets what has ended, and tells of it. */
  #sweep(): void {
    this.#followClock();
    const nowMs = this.#deps.clock.wallMs();
    const gone = [...this.#orders].filter(([, { untilMs }]) => untilMs <= nowMs);
    for (const [key] of gone) this.#orders.delete(key);
    if (gone.length > 0) this.#deps.store.putRecords(this.#namespace, new Map(gone.map(([key]) => [key, null])));
    for (const service of new Set(gone.map(([, order]) => order.service))) this.#tell(service);
    this.#arm();
  }

  /** Told, because callers are told ends by that clock. */
  #followClock(): void {
    const byMs = this.#steps.take();
    if (byMs === 0 || this.#orders.size === 0) return;
    const { store } = this.#deps;
    const records = store.records(this.#namespace);
    const moved = new Map<string, JsonObject>();
    for (const [key, order] of this.#orders) {
      const times = { atMs: order.atMs + byMs, untilMs: order.untilMs + byMs };
      this.#orders.set(key, Object.freeze({ ...order, ...times }));
      moved.set(key, { ...records.get(key), ...times });
    }
    store.putRecords(this.#namespace, moved);
    for (const service of new Set([...this.#orders.values()].map((order) => order.service))) this.#tell(service);
  }

  #arm(): void {
    this.#timer?.cancel();
    let next = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#orders.values()) next = Math.min(next, untilMs);
    this.#timer = Number.isFinite(next) ? this.#deps.timers.after(Math.min(lookForStepsMs, Math.max(1, next - this.#deps.clock.wallMs())), () => this.#sweep()) : null;
  }
}
