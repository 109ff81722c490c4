import type { Clock } from '@remora/core/clock';
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
  #orders: ReadonlyMap<string, HostOrders> = new Map();
  readonly #stop: () => void;

  constructor(deps: HostOrderKeeperDeps) {
    this.#deps = deps;
    this.#stop = deps.hosts.onChange((service) => this.#follow(service));
  }

  /** All items of the kind, by service. */
  use(items: ReadonlyMap<string, Uint8Array>): void {
    const before = this.#orders;
    this.#orders = new Map([...items].flatMap(([service, body]) => {
      const orders = decodeHostOrders(body);
      return orders === null ? [] : [[service, orders]];
    }));
    for (const service of new Set([...before.keys(), ...this.#orders.keys()])) this.#follow(service);
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

  #takeOut(host: KnownHost, untilWallMs: number): void {
    const { hosts, clock, record } = this.#deps;
    const nowMs = clock.monotonicMs();
    const was = hosts.states.takenOutUntil(host.slot) > nowMs;
    const leftMs = untilWallMs - clock.wallMs();
    const untilMs = leftMs > 0 ? nowMs + leftMs : 0;
    if (untilMs === 0 && hosts.states.takenOutUntil(host.slot) === 0) return;
    hosts.states.setTakenOutUntil(host.slot, untilMs);
    const about = { kind: 'host', service: host.service, host: host.address, pointer: '', policy: '' };
    if (untilMs > 0) record.add({ ...about, event: 'taken-out', detail: 'by hand', untilMs });
    else if (was) record.add({ ...about, event: 'returned', detail: 'by hand', untilMs: 0 });
  }

  /** What detectors decided before people did is over; what they decide afterwards is another matter. */
  #takeBack(host: KnownHost, atWallMs: number): void {
    if (atWallMs === 0) return;
    const { hosts, record } = this.#deps;
    const held = record.current().find((state) => state.kind === detector && state.service === host.service && state.host === host.address);
    if (held === undefined || held.sinceMs >= atWallMs) return;
    hosts.states.setEjectedUntil(host.slot, 0);
    hosts.states.setEjections(host.slot, 0);
    record.add({ kind: detector, event: 'returned', service: host.service, host: host.address, pointer: '', policy: '', detail: 'taken back by hand', untilMs: 0 });
  }
}

const detector = 'outlierDetection';
