import { parseIpAddress } from '@remora/core/ip-address';
import type { DiscoveryDocument } from '@remora/model/discovery-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import type { SourceTarget } from './discovery-source.ts';

/** What of a Service document its source is told. */
export function targetOf(document: ServiceDocument, discovery: DiscoveryDocument): SourceTarget {
  const ports = Object.entries(document.ports).map(([name, { port }]) => ({ name, port })).sort((a, b) => (a.name < b.name ? -1 : 1));
  return { service: document.name, ports, discovery };
}

/** What a source is asked for, as people read it. */
export function wordsOf({ service, discovery }: SourceTarget): string {
  const { dns, consul, kubernetes, file } = discovery;
  switch (discovery.source) {
    case 'dns':
      return `${dns?.name ?? ''}${dns?.records === 'srv' ? ' (srv)' : ''}`;
    case 'consul':
      return `${consul?.service ?? service}${consul?.datacentre === undefined ? '' : ` in ${consul.datacentre}`}${consul?.tags === undefined ? '' : ` with ${consul.tags.join(', ')}`}`;
    case 'kubernetes':
      return `${kubernetes?.namespace ?? 'default'}/${kubernetes?.service ?? service}`;
    case 'file':
      return file?.path ?? `${service}.yaml`;
    default:
      return '';
  }
}

const words = new Uint32Array(4);

/**
 * Host names among the static endpoints, in lower case, for the control plane to look up. Where callers do TLS and take the name they ask for from the endpoint, and
 * endpoints have different names, an address in its place would not be believed: those are left to the sidecars.
 */
export function namesToResolve({ endpoints = [], ports }: ServiceDocument): readonly string[] {
  const names = new Set(endpoints.map(({ address }) => address.toLowerCase()).filter((address) => parseIpAddress(address, words) === 0));
  if (names.size === 0) return [];
  const needsName = Object.values(ports).some(({ tls }) => tls !== undefined && tls.serverName === undefined);
  return needsName ? [] : [...names].sort();
}
