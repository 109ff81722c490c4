import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { hostOrdersMax, type HostOrders } from '@remora/policy-kit/host-orders';
import type { Store } from '../store/store.ts';

/** What somebody decided about one host of a service. */
export interface HostOrder {
  readonly service: string;
  /** `host:port`, as callers reach it. */
  readonly host: string;
  /** `out`: no caller uses it until the end. `back`: what detectors decided before it was said is over. */
  readonly what: 'out' | 'back';
  readonly author: string;
  readonly reason: string;
  readonly atMs: number;
  readonly untilMs: number;
}

/** The service has as many orders as one may have. */
export class TooManyOrders extends Error {}

const namespace = 'health.hosts';
/** How long callers are told that a host was taken back: those that are away hear of it when they return, and longer ejections than this are seldom. */
export const takenBackMs = 600_000;

/**
 * Hosts that people take out (`remora eject`) and take back, beside what the callers' own detectors decide. Not part of any revision: they end by
 * themselves. Durable before anybody is answered; at most 256 of one service.
 */
export class HostOrderBook {
  readonly #deps: { readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>; readonly clock: Clock; readonly timers: Timers };
  readonly #orders = new Map<string, HostOrder>();
  readonly #listeners = new Set<(service: string) => void>();
  #timer: Timer | null = null;

  constructor(deps: { readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>; readonly clock: Clock; readonly timers: Timers }) {
    this.#deps = deps;
    for (const [key, record] of deps.store.records(namespace)) {
      const order = readOrder(record);
      if (order) this.#orders.set(key, order);
    }
    this.#sweep();
  }

  /** Of one service or of all, the newest first; only what still holds. */
  list(service?: string): readonly HostOrder[] {
    const nowMs = this.#deps.clock.wallMs();
    return [...this.#orders.values()].filter((order) => order.untilMs > nowMs && (service === undefined || order.service === service)).sort((a, b) => b.atMs - a.atMs || (a.host < b.host ? -1 : 1));
  }

  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Durable when it returns; replaces what was said of the host before. Throws TooManyOrders. */
  take(order: Omit<HostOrder, 'atMs' | 'untilMs'>, forMs: number): HostOrder {
    this.#sweep();
    const key = `${order.service} ${order.host}`;
    if (!this.#orders.has(key) && this.list(order.service).length >= hostOrdersMax) throw new TooManyOrders(`${order.service} has ${hostOrdersMax} hosts that somebody took out or back already`);
    const atMs = this.#deps.clock.wallMs();
    const made: HostOrder = Object.freeze({ ...order, atMs, untilMs: atMs + forMs });
    this.#orders.set(key, made);
    this.#deps.store.putRecords(namespace, new Map([[key, { ...made }]]));
    this.#deps.store.flushRecords();
    this.#arm();
    this.#tell(order.service);
    return made;
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
    if (gone.length > 0) this.#deps.store.putRecords(namespace, new Map(gone.map(([key]) => [key, null])));
    for (const service of new Set(gone.map(([, order]) => order.service))) this.#tell(service);
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    const next = Math.min(...[...this.#orders.values()].map(({ untilMs }) => untilMs));
    this.#timer = Number.isFinite(next) ? this.#deps.timers.after(Math.max(1, next - this.#deps.clock.wallMs()), () => this.#sweep()) : null;
  }
}

function readOrder(record: JsonObject): HostOrder | null {
  const { service, host, what, author, reason, atMs, untilMs } = record;
  if (typeof service !== 'string' || typeof host !== 'string' || (what !== 'out' && what !== 'back') || typeof atMs !== 'number' || typeof untilMs !== 'number') return null;
  return Object.freeze({ service, host, what, author: typeof author === 'string' ? author : '', reason: typeof reason === 'string' ? reason : '', atMs, untilMs });
}
