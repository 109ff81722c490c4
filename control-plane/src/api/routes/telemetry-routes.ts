import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import type { Access } from '../../operators/access.ts';
import { ForbiddenError } from '../../operators/forbidden-error.ts';
import type { TelemetrySummary, TopQuery } from '../../telemetry/telemetry-hub.ts';
import { requireName, requireSubject } from '../require-subject.ts';
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
    handle({ query: { window, ...query }, access }) {
      requirePlace(access, query);
      return { status: 200, body: visibleSummary(access, ports.telemetry.summary({ windowMs: window, ...given(query) })) };
    },
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
    handle({ query: { window, limit, ...query }, access }) {
      const rows = ports.telemetry.top({ windowMs: window, limit: access.seesAll ? limit : rowsMax, ...query });
      return { status: 200, body: { items: rows.filter(({ name }) => access.seesAll || access.sees(subjectOfRow(ports, query.by, name))).slice(0, limit) } };
    },
  });
}

function refusalsRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/refusals', operationId: 'telemetryRefusals', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'Requests that sidecars refused or could not complete, newest first',
    query: z.object({ ...place, requestId: names, nodeId: names, reason: names, policy: names, since: durationParameter(hour).optional().describe('How long ago, at most'), limit: limitParameter(1_000, 100) }),
    answers: { 200: { description: 'As the sidecars reported them', schema: refusalListShape } },
    handle: ({ query: { since, limit, ...query }, access }) => ({ status: 200, body: { items: visibleRows(access, limit, (rows) => ports.telemetry.refusals({ limit: rows, ...given(query), ...sinceOf(ports, since) })) } }),
  });
}

function eventsRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/events', operationId: 'telemetryEvents', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'What sidecars reported beside requests: ejections, breakers, alarms; newest first',
    query: z.object({ nodeId: names, since: durationParameter(hour).optional().describe('How long ago, at most'), limit: limitParameter(1_000, 100) }),
    answers: { 200: { description: 'As the sidecars reported them', schema: sidecarEventListShape } },
    handle: ({ query: { since, limit, nodeId }, access }) => ({ status: 200, body: { items: visibleRows(access, limit, (rows) => ports.telemetry.events({ limit: rows, ...given({ nodeId }), ...sinceOf(ports, since) })) } }),
  });
}

function reportersRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/telemetry/reporters', operationId: 'telemetryReporters', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'The last report of each sidecar, and what is kept in memory',
    answers: { 200: { description: 'All of them', schema: reporterListShape } },
    handle: ({ access }) => ({ status: 200, body: { items: ports.telemetry.reporters().filter(({ subject }) => access.sees(subject)), sizes: ports.telemetry.sizes() } }),
  });
}

/** Rows looked at for a role with a scope. */
const rowsMax = 1_000;

/** A role with a scope says what it asks about: the traffic of something in it, or what a caller in it sees of a neighbour. */
function requirePlace(access: Access, { service, gateway, caller }: { readonly service?: string | undefined; readonly gateway?: string | undefined; readonly caller?: string | undefined }): void {
  if (access.seesAll) return;
  const subject = service !== undefined ? `service/${service}` : gateway !== undefined ? `gateway/${gateway}` : null;
  if (subject === null) throw new ForbiddenError(access.principal, { role: 'viewer', right: 'read', detail: 'the traffic of everything needs a role for everything; name one with `service` or `gateway`' });
  if (caller !== undefined && access.sees(caller)) return requireName(access, subject);
  requireSubject(access, subject);
  if (caller !== undefined) requireName(access, caller);
}

function visibleSummary(access: Access, summary: TelemetrySummary): TelemetrySummary {
  if (access.seesAll) return summary;
  const { routes, instances, edges } = summary;
  return { ...summary, routes: routes.filter(({ subject }) => access.seesName(subject)), instances: instances.filter(({ subject }) => access.sees(subject)), edges: edges.filter(({ caller, service }) => access.seesName(caller) && access.seesName(`service/${service}`)) };
}

function visibleRows<T extends { readonly subject: string }>(access: Access, limit: number, read: (rows: number) => readonly T[]): readonly T[] {
  return access.seesAll ? read(limit) : read(rowsMax).filter(({ subject }) => access.sees(subject)).slice(0, limit);
}

/** `service/orders`, `service/orders/list`, `service/web → orders`, or a node. */
function subjectOfRow(ports: ApiPorts, by: TopQuery['by'], name: string): string {
  if (by === 'sidecar') return ports.hub.sidecar(name)?.subject ?? '';
  return (by === 'edge' ? name.split(' ', 1)[0] ?? '' : name).split('/', 2).join('/');
}

function sinceOf(ports: ApiPorts, agoMs: number | undefined): { sinceMs?: number } {
  return agoMs === undefined ? {} : { sinceMs: ports.clock.wallMs() - agoMs };
}

/** Without what was not asked for. */
function given<T extends Readonly<Record<string, unknown>>>(query: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}
