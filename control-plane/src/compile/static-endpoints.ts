import type { ServiceDocument } from '@remora/model/service-schema';
import type { Endpoint, EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { wireLabels } from './route-wire.ts';

/** The endpoints that a Service document lists; null where it lists none. */
export function staticEndpointsOf(service: ServiceDocument): EndpointSet | null {
  if (service.endpoints === undefined) return null;
  const endpoints = service.endpoints.map((endpoint) => toEndpoint(service, endpoint)).sort((a, b) => (a.id < b.id ? -1 : 1));
  return { service: service.name, endpoints };
}

function toEndpoint(service: ServiceDocument, endpoint: NonNullable<ServiceDocument['endpoints']>[number]): Endpoint {
  const ports = Object.entries(service.ports)
    .map(([name, { port, protocol }]) => ({ name, host: endpoint.address, port: ownPort(endpoint.ports, name) ?? endpoint.port ?? port, protocols: spokenBy(protocol) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const first = ports.find(({ name }) => name === 'http') ?? ports[0];
  return {
    id: `static/${endpoint.address}:${first?.port ?? 0}`,
    ports,
    labels: wireLabels(endpoint.labels),
    locality: endpoint.locality ?? '',
    weight: endpoint.weight ?? 1,
    backup: endpoint.backup ?? false,
    suspect: false,
    draining: false,
    protocols: ['http/1.1'],
    mtls: false,
    source: 'static',
  };
}

/** An app without a sidecar speaks what its port says; empty: HTTP/1.1, as the endpoint says. */
export function spokenBy(protocol: ServiceDocument['ports'][string]['protocol'] | undefined): string[] {
  return protocol === 'http2' || protocol === 'grpc' ? ['h2c'] : [];
}

function ownPort(ports: Readonly<Record<string, number>> | undefined, name: string): number | undefined {
  return ports !== undefined && Object.hasOwn(ports, name) ? ports[name] : undefined;
}
