import type { InboundPort, PortProtocol } from '@remora/snapshot/snapshot';
import { ResolvedTarget, transportOf } from '../generation/places.ts';
import { Cluster } from './cluster.ts';
import { cleartextHttp2, type UpstreamAddress } from './upstream-address.ts';
import type { UpstreamPool } from './upstream-pool.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

interface AppTarget {
  readonly portName: string;
  readonly protocol: PortProtocol;
  readonly target: ResolvedTarget;
}

/**
 * The own app behind each inbound port: all that an inbound side ever connects to. Snapshots may come before the listeners that name the app, so a
 * target exists as soon as somebody asks and is empty until then. The name '' stands for every port without an app of its own. What
 * the app speaks is the snapshot's word.
 */
export class AppTargets {
  readonly #poolFor: (address: UpstreamAddress) => UpstreamPool;
  readonly #apps = new Map<string, Address>();
  /** By port, protocol and PROXY protocol: as many as documents name. */
  readonly #targets = new Map<string, AppTarget>();

  constructor(poolFor: (address: UpstreamAddress) => UpstreamPool) {
    this.#poolFor = poolFor;
  }

  set(portName: string, app: Address): void {
    this.#apps.set(portName, app);
    for (const target of this.#targets.values()) this.#fill(target);
  }

  target({ name: portName, protocol, proxyProtocol }: Pick<InboundPort, 'name' | 'protocol' | 'proxyProtocol'>): ResolvedTarget {
    const key = `${portName}\0${protocol}\0${proxyProtocol}`;
    let target = this.#targets.get(key);
    if (target === undefined) {
      const raw = transportOf(protocol) !== 'http';
      target = { portName, protocol, target: new ResolvedTarget(new Cluster('', { poolFor: this.#poolFor }), portName, [], { raw, tls: null, proxyProtocol, pool: null }) };
      this.#targets.set(key, target);
      this.#fill(target);
    }
    return target.target;
  }

  /** As `addressKey` has them. */
  addresses(): string[] {
    return [...this.#targets.values()].flatMap(({ target }) => target.cluster.addresses());
  }

  #fill({ portName, protocol, target }: AppTarget): void {
    const app = this.#apps.get(portName) ?? this.#apps.get('');
    if (app === undefined) return;
    const protocols = protocol === 'http2' || protocol === 'grpc' ? [cleartextHttp2] : [];
    const endpoint = {
      id: 'app', ports: new Map([[portName, { ...app, protocols }]]), labels: [], locality: '', weight: 1, backup: false, suspect: false, draining: false,
      mtls: false, source: 'app',
    };
    target.cluster.apply({ service: '', endpoints: [endpoint] });
  }
}
