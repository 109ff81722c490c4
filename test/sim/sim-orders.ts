import type { Clock } from '@remora/core/clock';
import type { ControlPlane } from '@remora/control-plane/app';
import { lookForStepsMs } from '@remora/control-plane/health/clock-steps';
import type { VirtualWorld } from './virtual-world.ts';

/** Hosts of every service, for orders about them. */
export const orderedHosts = ['10.0.0.1:80', '10.0.0.2:80'] as const;

interface GivenOrder {
  readonly service: string;
  /** '' for the breaker. */
  readonly host: string;
  readonly what: string;
  /** Of the world, whatever its wall clocks say. */
  readonly endMs: number;
  /** False: somebody set the clock when nobody could see it, so that its end is not known. */
  sure: boolean;
}

/** What one sidecar makes of orders. */
export interface ObeyedOrders {
  readonly node: string;
  calls(service: string): boolean;
  /** `open`, `closed`, or nothing. */
  breaker(service: string): string;
  usable(service: string, host: string): boolean;
  /** Whether anything is known of an order. */
  knows(service: string, host: string): boolean;
}

/** Orders by hand of one run: those that were acknowledged hold for as long as they were given, in every caller, and then nowhere. */
export class SimOrders {
  readonly #world: VirtualWorld;
  readonly #given = new Map<string, GivenOrder>();
  #steppedAt = Number.NEGATIVE_INFINITY;
  count = 0;

  constructor(world: VirtualWorld) {
    this.#world = world;
  }

  /** Somebody takes a host out or back, or opens or closes a breaker. Durable when it returns, and that is what is told. */
  give({ hostOrders, breakerOrders }: ControlPlane): void {
    const world = this.#world;
    const service = world.pick(['web', 'orders', 'payments']);
    const forMs = world.chance(0.5) ? 1_000 + world.upTo(30_000) : 3_600_000;
    const by = { author: 'simulator', reason: '' };
    const host = world.chance(0.5) ? world.pick(orderedHosts) : '';
    const what = host === '' ? world.pick(['open', 'closed'] as const) : world.pick(['out', 'out', 'back'] as const);
    if (what === 'out' || what === 'back') hostOrders.take({ service, what, ...by }, [host], forMs);
    else breakerOrders.take({ service, what, ...by }, forMs);
    this.#given.set(`${service} ${host}`, { service, host, what, endMs: world.monotonicMs() + forMs, sure: true });
    this.count += 1;
  }

  /** The control plane's wall clock was set. */
  stepped(controlPlaneIsUp: boolean): void {
    this.#steppedAt = this.#world.monotonicMs();
    if (!controlPlaneIsUp) this.#doubt();
  }

  /** It sees a step a little later, if it lives. */
  crashed(): void {
    if (this.#world.monotonicMs() - this.#steppedAt <= lookForStepsMs + 1_000) this.#doubt();
  }

  /** In the end: what a sidecar does that was not said, or not does that was. */
  problems(sidecar: ObeyedOrders): string[] {
    const nowMs = this.#world.monotonicMs();
    return [...this.#given.values()].filter(({ service, sure }) => sure && sidecar.calls(service)).flatMap((order) => {
      if (order.endMs > nowMs + toleranceMs) return this.#held(sidecar, order);
      return order.endMs < nowMs - lookForStepsMs - toleranceMs && sidecar.knows(order.service, order.host) ? [`${sidecar.node} still knows an order about ${order.service} ${order.host} that has ended`] : [];
    });
  }

  #held(sidecar: ObeyedOrders, { service, host, what }: GivenOrder): string[] {
    const does = host === '' ? sidecar.breaker(service) : sidecar.usable(service, host) ? 'back' : 'out';
    return does === what ? [] : [`${sidecar.node} was told ${what} of ${service} ${host}, and has it ${does === '' ? 'as nobody said' : does}`];
  }

  #doubt(): void {
    for (const order of this.#given.values()) order.sure = false;
  }
}

/** Heartbeats travel, clocks are rounded. */
const toleranceMs = 2_000;

/** A clock that goes right and is set wrong. */
export class SkewedClock implements Clock {
  readonly #world: VirtualWorld;
  readonly #byMs: number;

  constructor(world: VirtualWorld, byMs: number) {
    this.#world = world;
    this.#byMs = byMs;
  }

  wallMs(): number {
    return this.#world.wallMs() + this.#byMs;
  }

  monotonicMs(): number {
    return this.#world.monotonicMs();
  }
}
