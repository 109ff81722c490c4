import { z } from 'zod';
import { findHosts, knownHosts } from '../../health/find-hosts.ts';
import { takenBackMs, TooManyOrders, type HostOrder } from '../../health/host-order-book.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiCall, ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { readJsonBody } from '../json-body.ts';
import { nameParameter } from '../parameters.ts';
import { orderDuration } from '../order-duration.ts';
import { ApiError } from '../problem.ts';
import { reasonText } from '../request-text.ts';
import { requireSubject } from '../require-subject.ts';
import { hostOrderListShape } from '../shapes/health-shape.ts';

const host = z.string().min(1).max(300).describe('`10.0.0.7:8080`, the id of an instance, or an address alone for all ports there');
const reason = reasonText(200).default('');
const ejectBody = z.strictObject({ host, for: z.string().max(32).default('10m').describe('How long, at most 24h'), reason });
const unejectBody = z.strictObject({ host, reason });

/** People take hosts out of what callers use, and back. */
export function hostOrderRoutes(ports: ApiPorts): ApiRoute[] {
  return [ejectRoute(ports), unejectRoute(ports)];
}

function ejectRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/services/{name}/eject', operationId: 'ejectHost', tag: 'Telemetry', right: { role: 'editor', scoped: 'checked' }, summary: 'Takes a host out of what callers of the service use, for a while',
    description: 'Reaches the callers as state, not as a revision, and ends by itself. Above the panic threshold of `loadBalancing` callers use everybody all the same.',
    params: z.object({ name: nameParameter }),
    body: { kind: 'json', maxBytes: 4_096, description: '`{"host": "10.0.0.7:8080", "for": "10m", "reason": "its disk is full"}`', schema: ejectBody },
    answers: { 200: { description: 'What holds from now on', schema: hostOrderListShape } }, problems: ['not-found', 'too-many-orders'],
    handle(call) {
      const body = readJsonBody(ejectBody, call.body);
      return order(ports, call, { ...body, what: 'out' }, orderDuration(body.for));
    },
  });
}

function unejectRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/services/{name}/uneject', operationId: 'unejectHost', tag: 'Telemetry', right: { role: 'editor', scoped: 'checked' }, summary: 'Takes a host back, whoever took it out: people, or the detectors of callers',
    description: 'What detectors decide afterwards is another matter: a host that goes on failing is ejected again.',
    params: z.object({ name: nameParameter }),
    body: { kind: 'json', maxBytes: 4_096, description: '`{"host": "10.0.0.7:8080"}`', schema: unejectBody },
    answers: { 200: { description: 'What holds from now on', schema: hostOrderListShape } }, problems: ['not-found', 'too-many-orders'],
    handle: (call) => order(ports, call, { ...readJsonBody(unejectBody, call.body), what: 'back' }, takenBackMs),
  });
}

function order(ports: ApiPorts, { params, access, author }: ApiCall<{ readonly name: string }>, asked: { readonly host: string; readonly what: HostOrder['what']; readonly reason: string }, forMs: number): { status: number; body: object; audit: Record<string, string> } {
  const service = params.name;
  findDocument(ports, access, 'Service', service);
  requireSubject(access, `service/${service}`, 'editor');
  const listed = ports.instances.listed(service);
  const hosts = findHosts(listed, asked.host);
  if (hosts.length === 0) throw new ApiError('not-found', `${service} has no host ${JSON.stringify(asked.host)}; ${knownText(knownHosts(listed))}`);
  try {
    const items = ports.hostOrders.take({ service, what: asked.what, author, reason: asked.reason }, hosts, forMs);
    return { status: 200, audit: { service, hosts: hosts.join(' '), what: asked.what, reason: asked.reason }, body: { items: items.map(orderAnswer) } };
  } catch (error) {
    if (error instanceof TooManyOrders) throw new ApiError('too-many-orders', error.message);
    throw error;
  }
}

function knownText(known: readonly string[]): string {
  if (known.length === 0) return 'it has none at all';
  return `it has ${known.slice(0, 10).join(', ')}${known.length > 10 ? ` and ${known.length - 10} more` : ''}`;
}

/** As the API shows it. */
export function orderAnswer({ atMs, untilMs, ...told }: HostOrder): object {
  return { ...told, at: new Date(atMs).toISOString(), until: new Date(untilMs).toISOString() };
}
