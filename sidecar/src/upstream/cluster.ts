import { HostStates, noSlot } from '@remora/policy-kit/host-states';
import type { EndpointPort, EndpointSet, ServiceEndpoint } from '@remora/snapshot/decode-endpoints';
import type { UpstreamWay } from '../tls/upstream-way.ts';
import { ClusterHost } from './cluster-host.ts';
import type { GrantedSet } from './host-slots.ts';
import { plainPort, portConnectionKey, type PortConnection } from './port-connection.ts';
import { TargetHosts } from './target-hosts.ts';
import { addressKey, protocolOf, secureProtocolOf, type UpstreamAddress, type UpstreamProtocol } from './upstream-address.ts';
import type { UpstreamPool } from './upstream-pool.ts';

export interface ClusterDeps {
  readonly poolFor: (address: UpstreamAddress) => UpstreamPool;
  /** How instances that announce mTLS are connected; null: in plaintext, for there is no identity here. */
  readonly mesh?: () => UpstreamWay | null;
  /** Absent: nothing is known of its hosts (the own app, and what no document declares). */
  readonly states?: HostStates;
  /** Of this sidecar. */
  readonly locality?: string;
}

/** Slots and first sights of a set's hosts (`GrantedSet`). */
type Grants = Pick<GrantedSet, 'slots' | 'since'>;

/**
 * The endpoints of one service, by the last set that came; outlives snapshots. Hosts are made when a target first asks for their port, and stay the same
 * for as long as sets name them; which of them belong to a target is found once for each set.
 */
export class Cluster {
  readonly service: string;
  /** Whether any set has come: until then the service is unknown, not empty. */
  known = false;
  /** Changes with each set. */
  version = 0;
  readonly #deps: ClusterDeps;
  readonly #states: HostStates;
  #set: EndpointSet = { service: '', endpoints: [] };
  #grants: Grants | null = null;
  #subsets = new Map<string, TargetHosts>();
  /** By `ClusterHost.key`. */
  #hosts = new Map<string, ClusterHost>();
  /** Ways in which ports have been connected since the last set, by their key: the place of their pools in `ClusterHost.pools`. */
  #ways = new Map<string, number>();
  /** By port name, where it is no plain one: how it was connected when it was asked for last. */
  readonly #connected = new Map<string, PortConnection>();

  constructor(service: string, deps: ClusterDeps) {
    this.service = service;
    this.#deps = deps;
    this.#states = deps.states ?? nothingKnown;
  }

  apply(set: EndpointSet, grants: Grants | null = null): void {
    this.known = true;
    this.#set = set;
    this.#grants = grants;
    this.#keepHosts();
    this.refresh();
  }

  /** Files or identities that TLS needs have changed: pools are chosen anew. */
  refresh(): void {
    this.version++;
    this.#subsets = new Map();
    this.#ways = new Map();
    for (const host of this.#hosts.values()) host.pools = [];
  }

  /** The caller must not reach the service any more. */
  forget(): void {
    this.apply({ service: this.service, endpoints: [] });
    this.known = false;
  }

  get size(): number {
    return this.#set.endpoints.length;
  }

  /** The set as it is. */
  get endpoints(): EndpointSet['endpoints'] {
    return this.#set.endpoints;
  }

  /** Hosts that a target has asked for. */
  get hosts(): Iterable<ClusterHost> {
    return this.#hosts.values();
  }

  /** Every address of the set, as `addressKey` has it: what pools it needs. */
  addresses(): string[] {
    const mesh = this.#mesh();
    return this.#set.endpoints.flatMap((endpoint) => [...endpoint.ports].flatMap(([name, port]) => {
      const how = this.#connected.get(name) ?? plainPort;
      return [false, true].map((raw) => addressKey(addressOf(port, endpoint, { ...how, raw }, mesh)));
    }));
  }

  /** Hosts with all labels (`key=value`) that have the port; the same object until the set changes, or how they are connected. */
  subset(port: string, labels: readonly string[], how: PortConnection = plainPort): TargetHosts {
    const way = portConnectionKey(how);
    this.#remember(port, how);
    const key = `${way}\0${port}\0${labels.join('\0')}`;
    let hosts = this.#subsets.get(key);
    if (hosts === undefined) {
      hosts = this.#makeSubset(port, labels, how, this.#wayOf(way));
      if (this.#subsets.size < subsetsMax) this.#subsets.set(key, hosts);
    }
    return hosts;
  }

  /** How the port is connected from now on, before anybody asks for its hosts. True: not as before. */
  connect(port: string, how: PortConnection): boolean {
    const before = this.#connected.get(port) ?? plainPort;
    this.#remember(port, how);
    return portConnectionKey({ ...before, raw: false }) !== portConnectionKey({ ...how, raw: false });
  }

  #remember(port: string, how: PortConnection): void {
    if (how.tls === null && how.proxyProtocol === 0 && how.pool === null) this.#connected.delete(port);
    else this.#connected.set(port, how);
  }

  #wayOf(key: string): number {
    const known = this.#ways.get(key);
    if (known !== undefined) return known;
    this.#ways.set(key, this.#ways.size);
    return this.#ways.size - 1;
  }

  #makeSubset(portName: string, labels: readonly string[], how: PortConnection, way: number): TargetHosts {
    const mesh = this.#mesh();
    const hosts: ClusterHost[] = [];
    let nth = 0;
    for (const endpoint of this.#set.endpoints) {
      const port = endpoint.ports.get(portName);
      const first = nth;
      nth += endpoint.ports.size;
      if (port === undefined || !labels.every((label) => endpoint.labels.includes(label))) continue;
      const host = this.#host(endpoint, portName, port, first);
      host.pools[way] ??= this.#deps.poolFor(addressOf(port, endpoint, how, mesh));
      hosts.push(host);
    }
    const all = labels.length === 0 ? hosts : this.subset(portName, [], how).hosts;
    return new TargetHosts({ hosts, all, states: this.#states, locality: this.#deps.locality ?? '', way });
  }

  /** `first`: place of the endpoint's first port among all ports of the set. */
  #host(endpoint: ServiceEndpoint, portName: string, port: EndpointPort, first: number): ClusterHost {
    const key = ClusterHost.key(portName, endpoint.id, port);
    let host = this.#hosts.get(key);
    if (host === undefined) {
      host = new ClusterHost(this.service, portName, endpoint.id, `${port.host}:${port.port}`);
      this.#describe(host, endpoint, first + [...endpoint.ports.keys()].indexOf(portName));
      this.#hosts.set(key, host);
    }
    return host;
  }

  #describe(host: ClusterHost, endpoint: ServiceEndpoint, nth: number): void {
    host.describe(endpoint, { slot: this.#grants?.slots[nth] ?? noSlot, since: this.#grants?.since[nth] ?? 0 });
  }

  /** Those that the set names go on, as it has them now. */
  #keepHosts(): void {
    const kept = new Map<string, ClusterHost>();
    let nth = 0;
    for (const endpoint of this.#hosts.size === 0 ? [] : this.#set.endpoints) {
      for (const [name, port] of endpoint.ports) {
        const key = ClusterHost.key(name, endpoint.id, port);
        const host = this.#hosts.get(key);
        if (host !== undefined) {
          this.#describe(host, endpoint, nth);
          kept.set(key, host);
          this.#hosts.delete(key);
        }
        nth++;
      }
    }
    for (const host of this.#hosts.values()) host.gone = true;
    this.#hosts = kept;
  }

  #mesh(): UpstreamWay | null {
    return this.#deps.mesh?.() ?? null;
  }
}

function addressOf({ host, port, protocols, plaintext }: EndpointPort, { source, mtls }: ServiceEndpoint, { raw, tls, proxyProtocol, pool }: PortConnection, mesh: UpstreamWay | null): UpstreamAddress {
  const speak = (spoken: UpstreamProtocol): UpstreamProtocol => (raw ? 'tcp' : pool?.http1Only === true ? 'http1' : spoken);
  const kept = pool === null ? null : { pool };
  if (source === ofSidecars) return { host, port, protocol: speak(protocolOf(protocols)), ...(mtls && plaintext !== true && mesh !== null && { tls: mesh }), ...kept };
  const spoken = tls === null ? protocolOf(protocols) : secureProtocolOf(tls, protocols);
  return { host, port, protocol: speak(spoken), ...(tls && { tls }), ...(proxyProtocol !== 0 && { proxyProtocol }), ...kept };
}

/** Source of the endpoints that sidecars announce: TLS and PROXY protocol of a port are between callers and apps without one. */
const ofSidecars = 'lease';

/** Of hosts without slots. */
const nothingKnown = new HostStates(new ArrayBuffer(HostStates.bytes()));

/** Routes name only so many subsets; beyond it they are made anew for each request. */
const subsetsMax = 1024;
