import type { JsonObject } from '@remora/core/canonical-json';
import type { BreakerOrder } from '@remora/policy-kit/breaker-orders';
import { ExpiringOrders, type ExpiringOrder, type ExpiringOrdersDeps } from './expiring-orders.ts';

/** What somebody decided about the breakers of a service's callers. */
export interface KeptBreakerOrder extends BreakerOrder, ExpiringOrder {
  readonly author: string;
}

/** Breakers that people open and close, beside what callers decide. Not part of any revision: it ends by itself. Durable before anybody is answered; one of each service. */
export class BreakerOrderBook {
  readonly #orders: ExpiringOrders<KeptBreakerOrder>;
  readonly #deps: ExpiringOrdersDeps;

  constructor(deps: ExpiringOrdersDeps) {
    this.#deps = deps;
    this.#orders = new ExpiringOrders(deps, 'health.breakers', (record, service) => readOrder(service, record));
  }

  /** What holds for a service; null: nothing. */
  of(service: string): KeptBreakerOrder | null {
    return this.#orders.get(service);
  }

  /** What holds, by service. */
  list(): readonly KeptBreakerOrder[] {
    return [...this.#orders.list()].sort((a, b) => (a.service < b.service ? -1 : 1));
  }

  onChange(listener: (service: string) => void): () => void {
    return this.#orders.onChange(listener);
  }

  /** Durable when it returns; replaces what was said before. */
  take(order: Omit<KeptBreakerOrder, 'atMs' | 'untilMs'>, forMs: number): KeptBreakerOrder {
    const { service, ...rest } = order;
    const atMs = this.#deps.clock.wallMs();
    const kept: KeptBreakerOrder = Object.freeze({ ...order, atMs, untilMs: atMs + forMs });
    this.#orders.put(service, kept, { ...rest, atMs, untilMs: kept.untilMs });
    return kept;
  }

  close(): void {
    this.#orders.close();
  }
}

function readOrder(service: string, { what, author, reason, atMs, untilMs }: JsonObject): KeptBreakerOrder | null {
  if ((what !== 'open' && what !== 'closed') || typeof atMs !== 'number' || typeof untilMs !== 'number') return null;
  return Object.freeze({ service, what, author: typeof author === 'string' ? author : '', reason: typeof reason === 'string' ? reason : '', atMs, untilMs });
}
