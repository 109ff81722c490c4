import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { durationParameter, limitParameter, nameParameter } from '../parameters.ts';
import { refusalListShape, reporterListShape, sidecarEventListShape, telemetrySummaryShape, topShape } from '../shapes/telemetry-shape.ts';

const hour = { ms: 3_600_000, text: '1h' };
const windowParameter = durationParameter(hour).default(60_000).describe('10 s to 1 h; rounded up to 10 s');
const place = { service: nameParameter.optional(), gateway: nameParameter.optional() };
const names = z.string().max(300).optional();

export function telemetryRoutes(ports: ApiPorts): ApiRoute[] {
  return [summaryRoute(ports), topRoute(ports), refusalsRoute(ports), eventsRoute(ports), reportersRoute(ports)];
}

function summaryRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/summary', operationId: 'telemetrySummary', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'Requests, codes, latency and refusals over a window that ends now',
    query: z.object({
      ...place,
      route: names.describe('Only this route; empty: the default route'),
      nodeId: names.describe('Only this sidecar'),
      caller: names.describe('As this caller saw it: `service/web` or `gateway/edge`'),
      window: windowParameter,
    }),
    answers: { 200: { description: 'Totals, and by route, instance and edge', schema: telemetrySummaryShape } },
    handle: ({ query: { window, ...query } }) => ({ status: 200, body: ports.telemetry.summary({ windowMs: window, ...given(query) }) }),
  });
}

function topRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/top', operationId: 'telemetryTop', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'The busiest first',
    query: z.object({
      by: z.enum(['subject', 'route', 'edge', 'sidecar']).default('subject'),
      sort: z.enum(['requests', 'errors', 'p99']).default('requests'),
      window: windowParameter,
      limit: limitParameter(1_000, 20),
    }),
    answers: { 200: { description: 'Rows', schema: topShape } },
    handle: ({ query: { window, ...query } }) => ({ status: 200, body: { items: ports.telemetry.top({ windowMs: window, ...query }) } }),
  });
}

function refusalsRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/refusals', operationId: 'telemetryRefusals', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'Requests that sidecars refused or could not complete, newest first',
    query: z.object({ ...place, requestId: names, nodeId: names, reason: names, policy: names, since: durationParameter(hour).optional().describe('How long ago, at most'), limit: limitParameter(1_000, 100) }),
    answers: { 200: { description: 'As the sidecars reported them', schema: refusalListShape } },
    handle: ({ query: { since, limit, ...query } }) => ({ status: 200, body: { items: ports.telemetry.refusals({ limit, ...given(query), ...sinceOf(ports, since) }) } }),
  });
}

function eventsRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/events', operationId: 'telemetryEvents', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'What sidecars reported beside requests: ejections, breakers, alarms; newest first',
    query: z.object({ nodeId: names, since: durationParameter(hour).optional().describe('How long ago, at most'), limit: limitParameter(1_000, 100) }),
    answers: { 200: { description: 'As the sidecars reported them', schema: sidecarEventListShape } },
    handle: ({ query: { since, limit, nodeId } }) => ({ status: 200, body: { items: ports.telemetry.events({ limit, ...given({ nodeId }), ...sinceOf(ports, since) }) } }),
  });
}

function reportersRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/reporters', operationId: 'telemetryReporters', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'The last report of each sidecar, and what is kept in memory',
    answers: { 200: { description: 'All of them', schema: reporterListShape } },
    handle: () => ({ status: 200, body: { items: ports.telemetry.reporters(), sizes: ports.telemetry.sizes() } }),
  });
}

function sinceOf(ports: ApiPorts, agoMs: number | undefined): { sinceMs?: number } {
  return agoMs === undefined ? {} : { sinceMs: ports.clock.wallMs() - agoMs };
}

/** Without what was not asked for. */
function given<T extends Readonly<Record<string, unknown>>>(query: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}
