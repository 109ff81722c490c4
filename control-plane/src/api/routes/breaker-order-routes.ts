import { z } from 'zod';
import type { KeptBreakerOrder } from '../../health/breaker-order-book.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { readJsonBody } from '../json-body.ts';
import { nameParameter } from '../parameters.ts';
import { orderDuration } from '../order-duration.ts';
import { reasonText } from '../request-text.ts';
import { requireSubject } from '../require-subject.ts';
import { breakerOrderShape } from '../shapes/health-shape.ts';

const breakerBody = z.strictObject({
  action: z.enum(['open', 'close'], { error: 'expected open or close' }),
  for: z.string().max(32).optional().describe('How long, at most 24h; 10m for open, 1m for close'),
  reason: reasonText(200).default(''),
});

/** People open and close the breakers of a service's callers. */
export function breakerOrderRoutes(ports: ApiPorts): ApiRoute[] {
  return [apiRoute({
    method: 'POST', path: '/v1/services/{name}/breaker', operationId: 'orderBreaker', tag: 'Telemetry', right: { role: 'editor', scoped: 'checked' }, summary: 'Opens or closes the breakers of a service\'s callers, for a while',
    description: 'Reaches the callers as state, not as a revision, and ends by itself. Open: nothing is sent to the service. Closed: what callers opened is closed, and nothing opens until the end.',
    params: z.object({ name: nameParameter }),
    body: { kind: 'json', maxBytes: 4_096, description: '`{"action": "open", "for": "10m", "reason": "its ledger is being repaired"}`', schema: breakerBody },
    answers: { 200: { description: 'What holds from now on', schema: breakerOrderShape } }, problems: ['not-found'],
    handle({ params: { name: service }, body: given, access, author }) {
      const { action, reason, for: forText } = readJsonBody(breakerBody, given);
      const forMs = orderDuration(forText ?? (action === 'open' ? '10m' : '1m'));
      findDocument(ports, access, 'Service', service);
      requireSubject(access, `service/${service}`, 'editor');
      const order = ports.breakerOrders.take({ service, what: action === 'open' ? 'open' : 'closed', author, reason }, forMs);
      return { status: 200, audit: { service, what: order.what, reason, until: new Date(order.untilMs).toISOString() }, body: shown(order) };
    },
  })];
}

/** As the API shows it. */
export function breakerAnswer(order: KeptBreakerOrder | null): object | null {
  return order === null ? null : shown(order);
}

function shown({ atMs, untilMs, ...told }: KeptBreakerOrder): object {
  return { ...told, at: new Date(atMs).toISOString(), until: new Date(untilMs).toISOString() };
}
