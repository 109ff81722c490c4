import type { ListedEndpoint } from '../instances/instance-registry.ts';

/**
 * The hosts of a service that somebody means, as callers reach them (`host:port`, sorted): by that, by the id of an instance, or by an address alone where
 * it stands for all ports there. Empty: none is known under it.
 */
export function findHosts(listed: readonly ListedEndpoint[], text: string): readonly string[] {
  const found = new Set<string>();
  for (const { endpoint } of listed) {
    for (const { host, port } of endpoint.ports) {
      if (text === endpoint.id || text === `${host}:${port}` || text === host) found.add(`${host}:${port}`);
    }
  }
  return [...found].sort();
}

/** Every host of a service, to say which there are. */
export function knownHosts(listed: readonly ListedEndpoint[]): readonly string[] {
  return [...new Set(listed.flatMap(({ endpoint }) => endpoint.ports.map(({ host, port }) => `${host}:${port}`)))].sort();
}
