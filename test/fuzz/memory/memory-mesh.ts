import { seededRandom } from '@remora/core/random';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { runtimeKinds } from '@remora/sidecar/kinds';
import { LocalDataPlane } from '@remora/sidecar/threads/local-data-plane';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import type { ManualTimers } from '@remora/testing/manual-timers';
import type { MemoryNetwork } from './memory-network.ts';

export interface MemoryMeshOptions {
  readonly network: MemoryNetwork;
  readonly timers: ManualTimers;
  /** Of the upstream. */
  readonly port: number;
  /** What the upstream speaks. */
  readonly protocol: 'http' | 'http2';
  /** What the gateway and the upstream's own sidecar speak between them; null: there is no such sidecar. */
  readonly between: 'http/1.1' | 'h2c' | null;
}

/** A gateway with one Route to an upstream, alone or with the upstream's own sidecar before it: data planes of this process over a network in memory. */
export class MemoryMesh {
  readonly #options: MemoryMeshOptions;
  readonly #planes: LocalDataPlane[] = [];
  /** Where the gateway listens. */
  port = 0;

  private constructor(options: MemoryMeshOptions) {
    this.#options = options;
  }

  static async start(options: MemoryMeshOptions): Promise<MemoryMesh> {
    const mesh = new MemoryMesh(options);
    const { port, protocol, between } = options;
    const behind = between === null ? port : await mesh.#sidecar();
    mesh.port = await mesh.#gateway(behind, (between ?? (protocol === 'http2' ? 'h2c' : 'http/1.1')) === 'h2c' ? ['h2c'] : []);
    return mesh;
  }

  async #gateway(behind: number, protocols: readonly string[]): Promise<number> {
    const builder = new CandidateBuilder({ kind: 'gateway', name: 'fuzz' }).fleet().listener({ name: 'plain' });
    builder.destination({ service: 'app', ports: [{ name: 'http', port: 80, protocol: this.#options.protocol }] });
    builder.route({ name: 'all', match: { path: { kind: { $case: 'prefix', value: '/' } } }, action: { $case: 'forward', value: { targets: [{ service: 'app', weight: 1 }] } } });
    const plane = await this.#plane('fuzz', builder);
    const endpoint = { id: 'app-0', weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port: behind, protocols: [...protocols] }] };
    await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'app', endpoints: [endpoint] })).finish()] });
    const [bound] = await plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
    return bound?.port ?? 0;
  }

  async #sidecar(): Promise<number> {
    const { port, protocol } = this.#options;
    const builder = new CandidateBuilder({ kind: 'service', name: 'app' }).fleet().inbound({ portName: 'http', port: 80, protocol });
    const plane = await this.#plane('app-0', builder);
    const [bound] = await plane.listen([{ name: 'inbound/http', side: 'inbound', host: '127.0.0.1', port: 0, portName: 'http', app: { host: '127.0.0.1', port } }]);
    return bound?.port ?? 0;
  }

  async #plane(nodeId: string, builder: CandidateBuilder): Promise<LocalDataPlane> {
    const { network, timers } = this.#options;
    const plane = new LocalDataPlane({ nodeId, kinds: runtimeKinds, clock: timers.clock, timers, random: seededRandom(this.#planes.length + 1), dial: network.dial, makeServer: network.makeServer });
    this.#planes.push(plane);
    const candidate = builder.build();
    const prepared = await plane.prepare(candidate);
    if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
    await plane.swap(candidate.hash, candidate.version);
    return plane;
  }

  /** '' where no connection, call, tunnel or timer is left; idle connections to what stands behind, and between the two, may be. */
  async left(): Promise<string> {
    const views = await Promise.all(this.#planes.map(async (plane) => (await plane.describe() as { readonly threads: readonly [ThreadView] }).threads[0]));
    let idleBefore = 0;
    const left: string[] = [];
    // The gateway was made last; what it keeps open is connected to the one before.
    for (const { connections, timers, tunnels, pools } of views.toReversed()) {
      const sum = (field: 'active' | 'open' | 'waiting'): number => pools.reduce((total, pool) => total + pool[field], 0);
      const taken = connections - idleBefore;
      if (taken + sum('active') + sum('waiting') + tunnels.count > 0 || timers > sum('open') + idleBefore) {
        left.push(`${taken} connections, ${sum('active')} calls, ${sum('waiting')} waiting, ${tunnels.count} tunnels, ${timers} timers, ${sum('open')} upstream connections`);
      }
      idleBefore = sum('open');
    }
    return left.join('; ');
  }

  async close(): Promise<void> {
    for (const plane of this.#planes) await plane.close();
  }
}

interface ThreadView {
  readonly connections: number;
  readonly timers: number;
  readonly tunnels: { readonly count: number };
  readonly pools: readonly { readonly active: number; readonly open: number; readonly waiting: number }[];
}
