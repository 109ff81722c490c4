import type { Violation } from '@remora/core/violation';
import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { ApiError } from '../problem.ts';
import { readyShape } from '../shapes/ready-shape.ts';
import type { Planned } from '../../compile/planner.ts';

const contradictionsMax = 1_000;

export function healthRoutes(ports: ApiPorts & { readonly metricsText: () => Promise<string> }): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/livez', operationId: 'livez', tag: 'Health', right: 'open', summary: 'The process answers',
      answers: { 200: { description: 'Always', schema: z.object({ status: z.literal('live') }) } },
      handle: () => ({ status: 200, body: { status: 'live' } }),
    }),
    apiRoute({
      method: 'GET', path: '/readyz', operationId: 'readyz', tag: 'Health', right: 'open', summary: 'The state is loaded, compiled and published',
      answers: { 200: { description: 'Ready', schema: readyShape } }, problems: ['not-ready'],
      handle({ access }) {
        const state = ports.writePath.state();
        switch (state.kind) {
          case 'ready':
            return { status: 200, body: { status: 'ready', version: ports.version, head: ports.store.head(), sidecars: ports.hub.sidecars().filter(({ connected }) => connected).length, contradictions: access.seesAll ? contradictionsOf(state.planned) : [] } };
          case 'starting':
            throw new ApiError('not-ready', 'the control plane is starting');
          case 'broken':
            throw new ApiError('not-ready', 'the documents in the store cannot be compiled by this build; apply corrected ones, or restore-to an earlier revision. Sidecars keep what they enforce', access.seesAll ? { violations: state.violations } : {});
        }
      },
    }),
    apiRoute({
      method: 'GET', path: '/metrics', operationId: 'metrics', tag: 'Health', right: { role: 'viewer', scoped: 'refused' }, summary: 'Metrics of the control plane, for Prometheus',
      answers: { 200: { description: 'Text format 0.0.4', contentType: 'text/plain; version=0.0.4; charset=utf-8' } },
      handle: async () => ({ status: 200, body: await ports.metricsText(), contentType: 'text/plain; version=0.0.4; charset=utf-8' }),
    }),
  ];
}

function contradictionsOf({ contradictions }: Planned): Violation[] {
  return [...contradictions.values()].slice(0, contradictionsMax).map(({ violation }) => violation);
}
