import type { Clock } from '@remora/core/clock';
import { breakerOrdersKind } from '@remora/policy-kit/breaker-orders';
import { ControlPlaneTime, controlPlaneTimeKind } from '@remora/policy-kit/control-plane-time';
import type { FactBooks } from '@remora/policy-kit/facts';
import { decodeHostOrders, hostOrdersKind } from '@remora/policy-kit/host-orders';
import { OrderedState } from '@remora/policy-kit/ordered-state';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { HealthRecord } from '@remora/sidecar/health/health-record';
import { HostOrderKeeper } from '@remora/sidecar/health/host-order-keeper';
import { HostSlots } from '@remora/sidecar/upstream/host-slots';
import { services } from './mesh-edits.ts';
import { orderedHosts } from './sim-orders.ts';

/** What a sidecar makes of orders by hand: its real keeper of hosts, and the state that its real breakers ask. */
export class SimObedience {
  readonly keeper: HostOrderKeeper;
  readonly #clock: Clock;
  readonly #facts: FactBooks;
  readonly #hosts: HostSlots;
  readonly #breakers: ReadonlyMap<string, OrderedState>;

  constructor(clock: Clock, facts: FactBooks) {
    this.#clock = clock;
    this.#facts = facts;
    this.#hosts = new HostSlots(clock);
    this.#hosts.grant({ removed: [], sets: services.map(hostsOf) });
    this.keeper = new HostOrderKeeper({ hosts: this.#hosts, record: new HealthRecord(clock), clock });
    this.#breakers = new Map(services.map((service) => [service, new OrderedState(facts.of(breakerOrdersKind), service, { clock, time: new ControlPlaneTime(clock, facts.of(controlPlaneTimeKind)) })]));
  }

  breaker(service: string): string {
    return this.#breakers.get(service)?.now()?.what ?? '';
  }

  usable(service: string, host: string): boolean {
    const slot = this.#hosts.of(service).find(({ address }) => address === host)?.slot;
    return slot !== undefined && this.#hosts.states.usable(slot, this.#clock.monotonicMs());
  }

  knows(service: string, host: string): boolean {
    if (host === '') return this.#facts.of(breakerOrdersKind).get(service) !== undefined;
    const orders = decodeHostOrders(this.#facts.of(hostOrdersKind).get(service) ?? new Uint8Array());
    return orders !== null && (orders.takenOut.has(host) || orders.takenBack.has(host));
  }
}

function hostsOf(service: string): Uint8Array {
  const endpoints = orderedHosts.map((address, i) => ({ id: `${service}-${i}`, ports: [{ name: 'http', host: address.slice(0, address.indexOf(':')), port: 80, protocols: [] }], weight: 1, source: 'static' }));
  return EndpointSet.encode(EndpointSet.fromPartial({ service, endpoints })).finish();
}
