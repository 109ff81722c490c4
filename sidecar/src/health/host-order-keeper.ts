import type { Clock } from '@remora/core/clock';
import { ControlPlaneTime } from '@remora/policy-kit/control-plane-time';
import { decodeHostOrders, type HostOrders } from '@remora/policy-kit/host-orders';
import type { HostDirectory, KnownHost } from '../upstream/host-slots.ts';
import type { HealthRecord } from './health-record.ts';

export interface HostOrderKeeperDeps {
  readonly hosts: HostDirectory;
  readonly record: HealthRecord;
  readonly clock: Clock;
}

/** Does what people have decided about hosts (`remora eject`, `remora uneject`), for those that are there and for those that come. Control thread. */
export class HostOrderKeeper {
  readonly #deps: HostOrderKeeperDeps;
  readonly #time: ControlPlaneTime;
  /** Monotonic ends of what takes hosts out, by service and address: the same order keeps its end, whatever our wall clock does. */
  readonly #ends = new Map<string, { readonly theirMs: number; readonly untilMs: number }>();
  /** Orders to take back that a host has seen, by service and address: what detectors decide afterwards stands, also where the record forgot it. */
  readonly #seen = new Map<string, number>();
  #orders: ReadonlyMap<string, HostOrders> = new Map();
  readonly #stop: () => void;

  constructor(deps: HostOrderKeeperDeps) {
    this.#deps = deps;
    this.#time = new ControlPlaneTime(deps.clock);
    this.#stop = deps.hosts.onChange((service) => this.#follow(service));
  }

  /** All items of the kind, by service. */
  use(items: ReadonlyMap<string, Uint8Array>): void {
    const before = this.#orders;
    this.#orders = new Map([...items].flatMap(([service, body]) => {
      const orders = decodeHostOrders(body);
      return orders === null ? [] : [[service, orders]];
    }));
    for (const key of this.#ends.keys()) if (!this.#has(key, 'takenOut')) this.#ends.delete(key);
    for (const key of this.#seen.keys()) if (!this.#has(key, 'takenBack')) this.#seen.delete(key);
    for (const service of new Set([...before.keys(), ...this.#orders.keys()])) this.#follow(service);
  }

  /** What is known of the control plane's clock, whose times orders have: how far it is ahead of our monotonic one. */
  useTime(aheadMs: number): void {
    this.#time.use(aheadMs);
    this.#ends.clear();
    for (const service of this.#orders.keys()) this.#follow(service);
  }

  close(): void {
    this.#stop();
  }

  #follow(service: string): void {
    const orders = this.#orders.get(service);
    for (const host of this.#deps.hosts.of(service)) {
      this.#takeOut(host, orders?.takenOut.get(host.address) ?? 0);
      this.#takeBack(host, orders?.takenBack.get(host.address) ?? 0);
    }
  }

  #has(key: string, what: 'takenOut' | 'takenBack'): boolean {
    const at = key.indexOf(' ');
    return this.#orders.get(key.slice(0, at))?.[what].has(key.slice(at + 1)) === true;
  }

  /** Monotonic. */
  #endOf({ service, address }: KnownHost, theirMs: number): number {
    const key = `${service} ${address}`;
    const known = this.#ends.get(key);
    if (known?.theirMs === theirMs) return known.untilMs;
    const untilMs = this.#time.monotonicOf(theirMs);
    this.#ends.set(key, { theirMs, untilMs });
    return untilMs;
  }

  #takeOut(host: KnownHost, theirMs: number): void {
    const { hosts, clock, record } = this.#deps;
    const nowMs = clock.monotonicMs();
    const was = hosts.states.takenOutUntil(host.slot) > nowMs;
    const endMs = theirMs === 0 ? 0 : this.#endOf(host, theirMs);
    const untilMs = endMs > nowMs ? endMs : 0;
    // A change, and no order that has been followed: it would be told again with every endpoint that comes.
    if (hosts.states.takenOutUntil(host.slot) === untilMs) return;
    hosts.states.setTakenOutUntil(host.slot, untilMs);
    const about = { kind: 'host', service: host.service, host: host.address, pointer: '', policy: '' };
    if (untilMs > 0) record.add({ ...about, event: 'taken-out', detail: 'by hand', untilMs });
    else if (was) record.add({ ...about, event: 'returned', detail: 'by hand', untilMs: 0 });
  }

  /** What detectors decided before people did is over; what they decide afterwards is another matter. */
  #takeBack(host: KnownHost, theirMs: number): void {
    if (theirMs === 0) return;
    const { hosts, record, clock } = this.#deps;
    const key = `${host.service} ${host.address}`;
    const isNew = this.#seen.get(key) !== theirMs;
    this.#seen.set(key, theirMs);
    const heldSince = record.heldSince(detector, host.service, host.address);
    // The record is bounded and forgets the oldest: what it does not know of was there before an order that is new.
    const before = heldSince === null ? isNew && hosts.states.ejectedUntil(host.slot) > clock.monotonicMs() : heldSince < this.#time.monotonicOf(theirMs);
    if (!before) return;
    hosts.states.setEjectedUntil(host.slot, 0);
    hosts.states.setEjections(host.slot, 0);
    record.add({ kind: detector, event: 'returned', service: host.service, host: host.address, pointer: '', policy: '', detail: 'taken back by hand', untilMs: 0 });
  }
}

const detector = 'outlierDetection';
