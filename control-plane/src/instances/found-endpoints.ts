import { parseIpAddress } from '@remora/core/ip-address';
import type { Endpoint, EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

/** What sources that are asked (DNS, Consul …) know of one Service. */
export interface FoundEndpoints {
  /** False: its source has not answered yet, in this process or one before. */
  readonly known: boolean;
  /** In order of their ids. */
  readonly endpoints: readonly Endpoint[];
  /** Addresses of host names in its static endpoints; names that are not there are left to the sidecars. */
  readonly names: ReadonlyMap<string, readonly FoundAddress[]>;
}

export interface FoundAddress {
  readonly address: string;
  readonly suspect: boolean;
}

/** Static endpoints whose host names have known addresses: one for each of them. */
export function resolvedStatic(fixed: EndpointSet | undefined, names: FoundEndpoints['names'] | undefined): readonly Endpoint[] {
  const endpoints = fixed?.endpoints ?? [];
  if (names === undefined || names.size === 0) return endpoints;
  return endpoints.flatMap((endpoint) => {
    const addresses = names.get(endpoint.ports[0]?.host.toLowerCase() ?? '');
    if (addresses === undefined || addresses.length === 0) return [endpoint];
    return addresses.map(({ address, suspect }) => ({ ...endpoint, id: `${endpoint.id}/${address}`, suspect, ports: endpoint.ports.map((port) => ({ ...port, host: address })) }));
  });
}

/**
 * Found endpoints that are not instances which announced themselves. A sidecar's own word is better than any other: behind it are its policies, and
 * beside it would be the bare app. `announced`: hosts (and `host:port` on loopback, where everybody is) of leases, also of some that ended.
 */
export function withoutAnnounced(found: readonly Endpoint[], announced: { has(place: string): boolean }): readonly Endpoint[] {
  return found.filter(({ ports }) => !ports.some(({ host, port }) => announced.has(placeOf(host, port))));
}

/** What two sources of one Service must have in common to mean the same instance. */
export function placeOf(host: string, port: number): string {
  return isLoopback(host) ? `${host}:${port}` : host;
}

const words = new Uint32Array(4);

function isLoopback(host: string): boolean {
  const family = parseIpAddress(host, words);
  if (family === 4) return (words[3] as number) >>> 24 === 127;
  return family === 6 ? words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] === 1 : host === 'localhost';
}
