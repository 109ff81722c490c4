import net from 'node:net';
import type { Dispatch } from '@remora/policy-kit/exchange';
import { compileRouteTable } from '@remora/router/route-table';
import { noSettings } from '@remora/snapshot/effective-settings';
import type { UpstreamTls } from '@remora/snapshot/snapshot';
import type { Generation } from '../generation/generation.ts';
import { ResolvedTarget, type CallerRoute, type Destination } from '../generation/places.ts';
import type { UpstreamWay } from '../tls/upstream-way.ts';
import { Cluster } from './cluster.ts';
import { mayBeCalled } from './outside-lookup.ts';
import { outsidePrefix, type UpstreamAddress } from './upstream-address.ts';
import type { UpstreamPool } from './upstream-pool.ts';

export interface OutsideDeps {
  readonly poolFor: (address: UpstreamAddress) => UpstreamPool;
  readonly securityFor: (settings: UpstreamTls) => UpstreamWay;
  readonly connector: Dispatch;
}

/**
 * Hosts that no document declares, where the Mesh lets calls to them pass: as they are, or with TLS that begins here. At most 256 are kept, those used longest ago go
 * first. Their limits are the defaults of `timeout`; there is no retry, and no policy.
 */
export class OutsideDestinations {
  readonly #deps: OutsideDeps;
  /** By mode and authority, in the order of their last use. */
  readonly #known = new Map<string, Cluster>();
  readonly #dispatch: Dispatch;

  constructor(deps: OutsideDeps) {
    this.#deps = deps;
    this.#dispatch = (call, response) => {
      call.connectTimeoutMs = connectMs;
      call.headersTimeoutMs = requestMs;
      call.idleTimeoutMs = idleMs;
      call.tunnelIdleMs = tunnelIdleMs;
      return deps.connector(call, response);
    };
  }

  /** Null: calls to the host do not pass, by the Mesh, by its address, or because it is no host. */
  find(generation: Generation, authority: string): Destination | null {
    const mode = generation.snapshot.fleet.unknownDestinations;
    const address = mode === 'refuse' ? null : splitAuthority(authority, mode === 'tls-originate' ? 443 : 80);
    if (address === null || (net.isIP(address.host) !== 0 && !mayBeCalled(address.host))) return null;
    const cluster = this.#cluster(`${mode} ${authority}`, address, mode === 'tls-originate');
    const how = { raw: false, tls: mode === 'tls-originate' ? this.#deps.securityFor(systemTrust) : null, proxyProtocol: 0, pool: null } as const;
    const fallback: CallerRoute = {
      caller: { route: '', dispatch: this.#dispatch, settings: noSettings, liveKeys: [] }, targets: [{ target: new ResolvedTarget(cluster, portName, [], how), weight: 1 }], sticky: null, place: generation.unknownPlace, connects: generation.unknownPlace,
    };
    return { service: outsideName, cluster, pathRules: generation.snapshot.fleet.pathRules, table: noRoutes, fallback };
  }

  /** As `addressKey` has them. */
  addresses(): string[] {
    return [...this.#known.values()].flatMap((cluster) => cluster.addresses().map((key) => `${outsidePrefix}${key}`));
  }

  #cluster(key: string, address: { readonly host: string; readonly port: number }, secure: boolean): Cluster {
    let cluster = this.#known.get(key);
    if (cluster === undefined) {
      cluster = new Cluster(outsideName, { poolFor: (found) => this.#deps.poolFor({ ...found, outside: true }) });
      cluster.apply({
        service: outsideName, endpoints: [{
          id: `${address.host}:${address.port}`, ports: new Map([[portName, { ...address, protocols: [] }]]), labels: [], locality: '', weight: 1, backup: false, suspect: false, draining: false, mtls: false,
          source: secure ? 'outside-tls' : 'outside',
        }],
      });
    } else this.#known.delete(key);
    this.#known.set(key, cluster);
    if (this.#known.size > knownMax) this.#known.delete(this.#known.keys().next().value as string);
    return cluster;
  }
}

/** Null where it is no host with a port at most. */
function splitAuthority(authority: string, usualPort: number): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(authority);
  const host = match?.[1] ?? match?.[2] ?? '';
  // TLS that begins here goes to the port for it, where the app named the one without.
  const port = match?.[3] === undefined || (usualPort === 443 && match[3] === '80') ? usualPort : Number(match[3]);
  return host === '' || port < 1 || port > 65_535 ? null : { host, port };
}

/** What figures and logs call all of them: their names are the app's. */
export const outsideName = '_outside';
const portName = 'outside';
const knownMax = 256;
const connectMs = 1_000;
const requestMs = 15_000;
const idleMs = 60_000;
const tunnelIdleMs = 3_600_000;
const noRoutes = compileRouteTable<CallerRoute>([]);
const systemTrust: UpstreamTls = Object.freeze({ serverName: '', acceptedNames: [], caFiles: [], verify: 'full', minVersion: '1.2', ciphers: [], alpn: ['http/1.1'], clientCertificate: null });
