import type { JsonObject } from '@remora/core/canonical-json';
import { hostOrdersMax, type HostOrders } from '@remora/policy-kit/host-orders';
import { ExpiringOrders, type ExpiringOrder, type ExpiringOrdersDeps } from './expiring-orders.ts';

/** What somebody decided about one host of a service. */
export interface HostOrder extends ExpiringOrder {
  /** `host:port`, as callers reach it. */
  readonly host: string;
  /** `out`: no caller uses it until the end. `back`: what detectors decided before it was said is over. */
  readonly what: 'out' | 'back';
  readonly author: string;
  readonly reason: string;
}

/** The service has as many orders as one may have. */
export class TooManyOrders extends Error {}

/** How long callers are told that a host was taken back: those that are away hear of it when they return, and longer ejections than this are seldom. */
export const takenBackMs = 600_000;

/**
 * Hosts that people take out (`remora eject`) and take back, beside what the callers' own detectors decide. Not part of any revision: they end by
 * themselves. Durable before anybody is answered; at most 256 of one service.
 */
export class HostOrderBook {
  readonly #orders: ExpiringOrders<HostOrder>;
  readonly #deps: ExpiringOrdersDeps;

  constructor(deps: ExpiringOrdersDeps) {
    this.#deps = deps;
    this.#orders = new ExpiringOrders(deps, 'health.hosts', readOrder);
  }

  /** Of one service or of all, the newest first; only what still holds. */
  list(service?: string): readonly HostOrder[] {
    return this.#orders.list().filter((order) => service === undefined || order.service === service).sort((a, b) => b.atMs - a.atMs || (a.host < b.host ? -1 : 1));
  }

  onChange(listener: (service: string) => void): () => void {
    return this.#orders.onChange(listener);
  }

  /** The same about each host, or about none: durable when it returns; replaces what was said of a host before. Throws TooManyOrders. */
  take(order: Omit<HostOrder, 'host' | 'atMs' | 'untilMs'>, hosts: readonly string[], forMs: number): readonly HostOrder[] {
    const { service } = order;
    const held = this.list(service).length;
    const more = new Set(hosts.filter((host) => this.#orders.get(keyOf(service, host)) === null)).size;
    if (held + more > hostOrdersMax) throw new TooManyOrders(`${service} may have ${hostOrdersMax} hosts that somebody took out or back; it has ${held}, and this would be ${more} more`);
    const atMs = this.#deps.clock.wallMs();
    return hosts.map((host) => {
      const made: HostOrder = Object.freeze({ ...order, host, atMs, untilMs: atMs + forMs });
      this.#orders.put(keyOf(service, host), made, { ...made });
      return made;
    });
  }

  /** As the callers of a service get it; null: nothing holds. */
  ordersOf(service: string): HostOrders | null {
    const own = this.list(service);
    if (own.length === 0) return null;
    return {
      takenOut: new Map(own.filter(({ what }) => what === 'out').map(({ host, untilMs }) => [host, untilMs])),
      takenBack: new Map(own.filter(({ what }) => what === 'back').map(({ host, atMs }) => [host, atMs])),
    };
  }

  close(): void {
    this.#orders.close();
  }
}

function keyOf(service: string, host: string): string {
  return `${service} ${host}`;
}

function readOrder(record: JsonObject): HostOrder | null {
  const { service, host, what, author, reason, atMs, untilMs } = record;
  if (typeof service !== 'string' || typeof host !== 'string' || (what !== 'out' && what !== 'back') || typeof atMs !== 'number' || typeof untilMs !== 'number') return null;
  return Object.freeze({ service, host, what, author: typeof author === 'string' ? author : '', reason: typeof reason === 'string' ? reason : '', atMs, untilMs });
}
