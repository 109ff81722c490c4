import { z } from 'zod';
import type { FeedReport } from '../../discovery/source-feed.ts';
import type { ListedEndpoint } from '../../instances/instance-registry.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { nameParameter } from '../parameters.ts';
import { discoveryListShape, endpointListShape, type endpointShape } from '../shapes/endpoint-shape.ts';

type EndpointAnswer = (typeof endpointShape)['_output'];
type SourceAnswer = (typeof discoveryListShape)['_output']['items'][number];

/** Where instances are, and who says so. */
export function endpointRoutes(ports: ApiPorts): ApiRoute[] {
  return [endpointsRoute(ports), discoveryRoute(ports)];
}

function endpointsRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/services/{name}/endpoints', operationId: 'getServiceEndpoints', tag: 'Sidecars', right: { role: 'viewer', scoped: 'checked' }, summary: 'Every known instance of a service, with its source and age',
    params: z.object({ name: nameParameter }),
    answers: { 200: { description: 'Endpoints by id, and how their sources do', schema: endpointListShape } }, problems: ['not-found'],
    handle({ params: { name }, access }) {
      findDocument(ports, access, 'Service', name);
      const ages = ports.discovery.ages(name);
      const items = ports.instances.listed(name).map((listed) => endpointAnswer(listed, ages, ports.hub.sidecar(listed.endpoint.id)?.lastSeen ?? null));
      return { status: 200, body: { service: name, items, sources: ports.discovery.reports(name).map(sourceAnswer) } };
    },
  });
}

function discoveryRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/discovery', operationId: 'listDiscovery', tag: 'Sidecars', right: { role: 'viewer', scoped: 'checked' }, summary: 'How the sources of instances do: DNS, Consul, Kubernetes, files',
    answers: { 200: { description: 'Of the services that may be seen', schema: discoveryListShape } },
    handle: ({ access }) => ({ status: 200, body: { items: ports.discovery.reports().filter(({ service }) => access.sees(`service/${service}`)).map(sourceAnswer) } }),
  });
}

function endpointAnswer({ endpoint, ready, announcedAtMs, connected }: ListedEndpoint, ages: ReturnType<ApiPorts['discovery']['ages']>, lastSeen: string | null): EndpointAnswer {
  const { id, source, ports, labels, locality, weight, backup, mtls, draining, suspect } = endpoint;
  const age = ages.get(id) ?? (source === 'static' ? ages.get(ports[0]?.host ?? '') : undefined);
  return {
    id, source: source as EndpointAnswer['source'], state: !ready ? 'not-ready' : draining ? 'draining' : suspect ? 'suspect' : 'ready',
    ports: ports.map(({ name, host, port }) => ({ name, host, port })), labels: Object.fromEntries(labels.map(({ key, value }) => [key, value])), locality, weight, backup, mtls,
    since: isoOrNull(announcedAtMs ?? age?.sinceMs ?? null),
    confirmedAt: connected !== null ? lastSeen : isoOrNull(age?.namedMs ?? null),
  };
}

function sourceAnswer({ service, source, asked, state, answeredAtMs, failingSinceMs, error, problems, instances, suspect }: FeedReport): SourceAnswer {
  return { service, source, asked, state, answeredAt: isoOrNull(answeredAtMs), failingSince: isoOrNull(failingSinceMs), error, problems: [...problems], instances, suspect };
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
