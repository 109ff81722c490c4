import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Store } from '../store/store.ts';

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

/** The longest that a timer may wait: what ends later is looked at again. */
const timerMaxMs = 86_400_000;

/** Orders of people that are no part of any revision and end by themselves, by key, in one namespace of the store. */
export class ExpiringOrders<T extends ExpiringOrder> {
  readonly #deps: ExpiringOrdersDeps;
  readonly #namespace: string;
  readonly #orders = new Map<string, T>();
  readonly #listeners = new Set<(service: string) => void>();
  #timer: Timer | null = null;

  /** `read`: null where a record is none that is understood. */
  constructor(deps: ExpiringOrdersDeps, namespace: string, read: (record: JsonObject, key: string) => T | null) {
    this.#deps = deps;
    this.#namespace = namespace;
    for (const [key, record] of deps.store.records(namespace)) {
      const order = read(record, key);
      if (order) this.#orders.set(key, order);
    }
    this.#sweep();
  }

  /** What holds under a key; null: nothing. */
  get(key: string): T | null {
    const order = this.#orders.get(key);
    return order === undefined || order.untilMs <= this.#deps.clock.wallMs() ? null : order;
  }

  /** What still holds, in no order. */
  list(): readonly T[] {
    const nowMs = this.#deps.clock.wallMs();
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
    const nowMs = this.#deps.clock.wallMs();
    const gone = [...this.#orders].filter(([, { untilMs }]) => untilMs <= nowMs);
    for (const [key] of gone) this.#orders.delete(key);
    if (gone.length > 0) this.#deps.store.putRecords(this.#namespace, new Map(gone.map(([key]) => [key, null])));
    for (const service of new Set(gone.map(([, order]) => order.service))) this.#tell(service);
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    const next = Math.min(...[...this.#orders.values()].map(({ untilMs }) => untilMs));
    this.#timer = Number.isFinite(next) ? this.#deps.timers.after(Math.min(timerMaxMs, Math.max(1, next - this.#deps.clock.wallMs())), () => this.#sweep()) : null;
  }
}
