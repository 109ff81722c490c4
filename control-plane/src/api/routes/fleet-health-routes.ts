import { z } from 'zod';
import { serviceHealth, type ServiceHealth } from '../../health/service-health.ts';
import type { Access } from '../../operators/access.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { nameParameter } from '../parameters.ts';
import { breakerAnswer } from './breaker-order-routes.ts';
import { orderAnswer } from './host-order-routes.ts';
import { fleetHealthShape, serviceHealthShape } from '../shapes/health-shape.ts';

/** Who cannot reach whom, and why, as the callers decided it. */
export function fleetHealthRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/services/{name}/health', operationId: 'getServiceHealth', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'Who cannot reach a service or some of its hosts, and why',
      description: 'Ejections, failed checks and open breakers as the callers\' sidecars reported them within the last 30 s; a caller out of sight is counted, and not named.',
      params: z.object({ name: nameParameter }),
      answers: { 200: { description: 'Callers, and what they hold against it', schema: serviceHealthShape } }, problems: ['not-found'],
      handle({ params: { name }, access }) {
        findDocument(ports, access, 'Service', name);
        return { status: 200, body: { ...visible(access, healthOf(ports, name)), orders: ports.hostOrders.list(name).map(orderAnswer), breaker: breakerAnswer(ports.breakerOrders.of(name)) } };
      },
    }),
    apiRoute({
      method: 'GET', path: '/v1/health', operationId: 'getFleetHealth', tag: 'Telemetry', right: { role: 'viewer', scoped: 'checked' }, summary: 'Services that some caller holds something against',
      description: 'The whole fleet; empty where everybody reaches everybody.',
      answers: { 200: { description: 'The one with the most callers in trouble first', schema: fleetHealthShape } },
      handle({ access }) {
        const names = [...new Set(ports.telemetry.held({}).map(({ service }) => service))].filter((name) => access.sees(`service/${name}`));
        const items = names.map((name) => visible(access, healthOf(ports, name))).map(({ service, callers, troubles }) => ({
          service, callers: sum(callers, ({ instances }) => instances), troubled: sum(callers, ({ troubled }) => troubled), troubles,
        }));
        return { status: 200, body: { items: items.sort((a, b) => b.troubled - a.troubled || (a.service < b.service ? -1 : 1)) } };
      },
    }),
  ];
}

function healthOf(ports: ApiPorts, service: string): ServiceHealth {
  const state = ports.writePath.state();
  const callers = state.kind === 'ready' ? [...state.planned.state.callers.get(service) ?? []] : [];
  return serviceHealth({ service, callers, sidecars: ports.hub.sidecars(), held: ports.telemetry.held({ service }) });
}

/** Who may see a service may see that it is in trouble; who its callers are, only in so far as they may be seen too. */
function visible(access: Access, health: ServiceHealth): ServiceHealth {
  if (access.seesAll) return health;
  return {
    ...health,
    callers: health.callers.map((caller) => (access.seesName(caller.caller) ? caller : { ...caller, caller: '' })),
    troubles: health.troubles.map((trouble) => ({ ...trouble, by: trouble.by.filter(({ caller }) => access.seesName(caller)) })),
  };
}

function sum<T>(list: readonly T[], read: (one: T) => number): number {
  return list.reduce((all, one) => all + read(one), 0);
}
