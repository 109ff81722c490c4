import type { EndpointPort, EndpointSet, ServiceEndpoint } from '@remora/snapshot/decode-endpoints';
import type { UpstreamWay } from '../tls/upstream-way.ts';
import { plainPort, type PortConnection } from './port-connection.ts';
import { addressKey, protocolOf, secureProtocolOf, type UpstreamAddress } from './upstream-address.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** One instance of a service, as one of its ports is reached. */
export interface Candidate {
  readonly id: string;
  readonly pool: UpstreamPool;
  readonly weight: number;
}

/**
 * Candidates in the order in which they are used: the next tier only where the ones before have nobody left. `cumulative` are
 * the running sums of weights, null where all are equal.
 */
export interface Tier {
  readonly candidates: readonly Candidate[];
  readonly cumulative: readonly number[] | null;
}

/**
 * The endpoints of one service, by the last set that came; outlives snapshots. Subsets are made when first asked for and live as long as
 * the set.
 */
export class Cluster {
  readonly service: string;
  /** Whether any set has come: until then the service is unknown, not empty. */
  known = false;
  /** Changes with each set. */
  version = 0;
  readonly #poolFor: (address: UpstreamAddress) => UpstreamPool;
  /** How instances that announce mTLS are connected; null: in plaintext, for there is no identity here. */
  readonly #mesh: () => UpstreamWay | null;
  #set: EndpointSet = { service: '', endpoints: [] };
  #subsets = new Map<string, readonly Tier[]>();
  /** By port name, where it is no plain one: how it was connected when it was asked for last. */
  readonly #connected = new Map<string, PortConnection>();

  constructor(service: string, poolFor: (address: UpstreamAddress) => UpstreamPool, mesh: () => UpstreamWay | null = () => null) {
    this.service = service;
    this.#poolFor = poolFor;
    this.#mesh = mesh;
  }

  apply(set: EndpointSet): void {
    this.known = true;
    this.version++;
    this.#set = set;
    this.#subsets = new Map();
  }

  /** Files or identities that TLS needs have changed: pools are chosen anew. */
  refresh(): void {
    this.version++;
    this.#subsets = new Map();
  }

  /** The caller must not reach the service any more. */
  forget(): void {
    this.known = false;
    this.version++;
    this.#set = { service: this.service, endpoints: [] };
    this.#subsets = new Map();
  }

  get size(): number {
    return this.#set.endpoints.length;
  }

  /** The set as it is. */
  get endpoints(): EndpointSet['endpoints'] {
    return this.#set.endpoints;
  }

  /** Every address of the set, as `addressKey` has it: what pools it needs. */
  addresses(): string[] {
    const mesh = this.#mesh();
    return this.#set.endpoints.flatMap((endpoint) => [...endpoint.ports].flatMap(([name, port]) => {
      const how = this.#connected.get(name) ?? plainPort;
      return [false, true].map((raw) => addressKey(addressOf(port, endpoint, { ...how, raw }, mesh)));
    }));
  }

  /** Endpoints with all labels (`key=value`) that have the port. */
  subset(port: string, labels: readonly string[], how: PortConnection = plainPort): readonly Tier[] {
    const { raw, tls, proxyProtocol } = how;
    if (tls === null && proxyProtocol === 0) this.#connected.delete(port);
    else this.#connected.set(port, how);
    const key = `${raw ? 'raw' : ''}\0${proxyProtocol}\0${tls?.key ?? ''}\0${port}\0${labels.join('\0')}`;
    let tiers = this.#subsets.get(key);
    if (tiers === undefined) {
      tiers = this.#makeTiers(port, labels, how);
      if (this.#subsets.size < subsetsMax) this.#subsets.set(key, tiers);
    }
    return tiers;
  }

  #makeTiers(portName: string, labels: readonly string[], how: PortConnection): readonly Tier[] {
    const tiers: Candidate[][] = [[], [], [], []];
    const mesh = this.#mesh();
    for (const endpoint of this.#set.endpoints) {
      const port = endpoint.ports.get(portName);
      if (port === undefined || !labels.every((label) => endpoint.labels.includes(label))) continue;
      const tier = endpoint.draining ? 3 : endpoint.suspect ? 2 : endpoint.backup ? 1 : 0;
      tiers[tier]?.push({ id: endpoint.id, pool: this.#poolFor(addressOf(port, endpoint, how, mesh)), weight: Math.max(0, endpoint.weight) });
    }
    return tiers.map(makeTier).filter(({ candidates }) => candidates.length > 0);
  }
}

function addressOf({ host, port, protocols, plaintext }: EndpointPort, { source, mtls }: ServiceEndpoint, { raw, tls, proxyProtocol }: PortConnection, mesh: UpstreamWay | null): UpstreamAddress {
  if (source === ofSidecars) return { host, port, protocol: raw ? 'tcp' : protocolOf(protocols), ...(mtls && plaintext !== true && mesh !== null && { tls: mesh }) };
  const spoken = tls === null ? protocolOf(protocols) : secureProtocolOf(tls, protocols);
  return { host, port, protocol: raw ? 'tcp' : spoken, ...(tls && { tls }), ...(proxyProtocol !== 0 && { proxyProtocol }) };
}

/** Source of the endpoints that sidecars announce: TLS and PROXY protocol of a port are between callers and apps without one. */
const ofSidecars = 'lease';

/** Candidates of weight 0 are never chosen; where all are 0 they count as equal. */
function makeTier(all: readonly Candidate[]): Tier {
  const weighted = all.filter(({ weight }) => weight > 0);
  const candidates = weighted.length > 0 ? weighted : all;
  const first = candidates[0]?.weight ?? 0;
  if (candidates.every(({ weight }) => weight === first)) return { candidates, cumulative: null };
  let sum = 0;
  return { candidates, cumulative: candidates.map(({ weight }) => (sum += weight)) };
}

/** Routes name only so many subsets; beyond it they are made anew for each request. */
const subsetsMax = 1024;
