import { Cluster } from './cluster.ts';
import { ResolvedTarget } from '../generation/places.ts';
import type { UpstreamPool } from './upstream-pool.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * The own app behind each inbound port: all that an inbound side ever connects to. Snapshots may come before the listeners that name the app, so a
 * target exists as soon as somebody asks and is empty until then. The name '' stands for every port without an app of its own.
 */
export class AppTargets {
  readonly #poolFor: (host: string, port: number) => UpstreamPool;
  readonly #apps = new Map<string, Address>();
  readonly #targets = new Map<string, ResolvedTarget>();

  constructor(poolFor: (host: string, port: number) => UpstreamPool) {
    this.#poolFor = poolFor;
  }

  set(portName: string, app: Address): void {
    this.#apps.set(portName, app);
    for (const name of this.#targets.keys()) this.#fill(name);
  }

  target(portName: string): ResolvedTarget {
    let target = this.#targets.get(portName);
    if (target === undefined) {
      target = new ResolvedTarget(new Cluster('', this.#poolFor), portName, []);
      this.#targets.set(portName, target);
      this.#fill(portName);
    }
    return target;
  }

  addresses(): string[] {
    return [...this.#targets.values()].flatMap(({ cluster }) => cluster.addresses());
  }

  #fill(portName: string): void {
    const app = this.#apps.get(portName) ?? this.#apps.get('');
    if (app === undefined) return;
    const endpoint = {
      id: 'app', ports: new Map([[portName, app]]), labels: [], locality: '', weight: 1, backup: false, suspect: false, draining: false,
      protocols: [], mtls: false, source: 'app',
    };
    this.#targets.get(portName)?.cluster.apply({ service: '', endpoints: [endpoint] });
  }
}
