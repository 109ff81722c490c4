import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { BreakerOrder } from '@remora/policy-kit/breaker-orders';
import type { Store } from '../store/store.ts';

/** What somebody decided about the breakers of a service's callers. */
export interface KeptBreakerOrder extends BreakerOrder {
  readonly service: string;
  readonly author: string;
  readonly atMs: number;
}

const namespace = 'health.breakers';
/** The longest that a timer may wait: what ends later is looked at again. */
const timerMaxMs = 86_400_000;

/** Breakers that people open and close, beside what callers decide. Not part of any revision: it ends by itself. Durable before anybody is answered; one of each service. */
export class BreakerOrderBook {
  readonly #deps: { readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>; readonly clock: Clock; readonly timers: Timers };
  readonly #orders = new Map<string, KeptBreakerOrder>();
  readonly #listeners = new Set<(service: string) => void>();
  #timer: Timer | null = null;

  constructor(deps: { readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>; readonly clock: Clock; readonly timers: Timers }) {
    this.#deps = deps;
    for (const [service, record] of deps.store.records(namespace)) {
      const order = readOrder(service, record);
      if (order) this.#orders.set(service, order);
    }
    this.#sweep();
  }

  /** What holds for a service; null: nothing. */
  of(service: string): KeptBreakerOrder | null {
    const order = this.#orders.get(service);
    return order === undefined || order.untilMs <= this.#deps.clock.wallMs() ? null : order;
  }

  /** What holds, by service. */
  list(): readonly KeptBreakerOrder[] {
    return [...this.#orders.keys()].sort().map((service) => this.of(service)).filter((order) => order !== null);
  }

  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Durable when it returns; replaces what was said before. */
  take(order: Omit<KeptBreakerOrder, 'atMs' | 'untilMs'>, forMs: number): KeptBreakerOrder {
    this.#sweep();
    const { service, ...rest } = order;
    const atMs = this.#deps.clock.wallMs();
    const kept: KeptBreakerOrder = Object.freeze({ ...order, atMs, untilMs: atMs + forMs });
    this.#orders.set(service, kept);
    this.#deps.store.putRecords(namespace, new Map([[service, { ...rest, atMs, untilMs: kept.untilMs }]]));
    this.#deps.store.flushRecords();
    this.#arm();
    this.#tell(service);
    return kept;
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
    const gone = [...this.#orders.values()].filter(({ untilMs }) => untilMs <= nowMs).map(({ service }) => service);
    for (const service of gone) this.#orders.delete(service);
    if (gone.length > 0) this.#deps.store.putRecords(namespace, new Map(gone.map((service) => [service, null])));
    for (const service of gone) this.#tell(service);
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    const next = Math.min(...[...this.#orders.values()].map(({ untilMs }) => untilMs));
    this.#timer = Number.isFinite(next) ? this.#deps.timers.after(Math.min(timerMaxMs, Math.max(1, next - this.#deps.clock.wallMs())), () => this.#sweep()) : null;
  }
}

function readOrder(service: string, { what, author, reason, atMs, untilMs }: JsonObject): KeptBreakerOrder | null {
  if ((what !== 'open' && what !== 'closed') || typeof atMs !== 'number' || typeof untilMs !== 'number') return null;
  return Object.freeze({ service, what, author: typeof author === 'string' ? author : '', reason: typeof reason === 'string' ? reason : '', atMs, untilMs });
}
