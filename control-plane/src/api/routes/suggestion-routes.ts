import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { durationParameter, limitParameter, nameParameter } from '../parameters.ts';
import { suggestionListShape } from '../shapes/suggestion-shape.ts';

const day = { ms: 86_400_000, text: '24h' };

/** Hosts that services call and do not declare: never added to documents by themselves. */
export function suggestionRoutes(ports: ApiPorts): ApiRoute[] {
  return [apiRoute({
    method: 'GET', path: '/v1/suggestions', operationId: 'listSuggestions', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'Hosts that services call and do not declare, the busiest first',
    description: 'As their sidecars count them, whether the calls were refused or passed; kept for 24 hours, by whole hours, in the memory of the control plane.',
    query: z.object({ service: nameParameter.optional(), since: durationParameter(day).default(day.ms).describe('How long ago, at most'), limit: limitParameter(1_000, 100) }),
    answers: { 200: { description: 'Of the services that may be seen', schema: suggestionListShape } },
    handle({ query: { service, since, limit }, access }) {
      const state = ports.writePath.state();
      const services = state.kind === 'ready' ? state.planned.state.services : new Map<string, never>();
      const named = service === undefined ? [...services.keys()] : [service];
      const sinceMs = ports.clock.wallMs() - since;
      const items = named.filter((name) => access.sees(`service/${name}`)).flatMap((name) => ports.telemetry.unknownDestinations({ service: name, sinceMs }).map(({ host, requests, lastAtMs }) => {
        const [first = ''] = host.split(':', 1);
        return { service: name, host, requests, lastAt: new Date(lastAtMs).toISOString(), dependsOn: services.has(first) ? first : null };
      }));
      return { status: 200, body: { items: items.sort((a, b) => b.requests - a.requests || (a.service + a.host < b.service + b.host ? -1 : 1)).slice(0, limit) } };
    },
  })];
}
