import { z } from 'zod';
import { mtlsStatus } from '../../mtls/mtls-status.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { durationParameter, nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { findDocument } from '../find-document.ts';
import { mtlsStatusShape } from '../shapes/mtls-shape.ts';

const day = { ms: 86_400_000, text: '24h' };

/** What stands between a service and strict mTLS. */
export function mtlsRoutes(ports: ApiPorts): ApiRoute[] {
  return [apiRoute({
    method: 'GET', path: '/v1/services/{name}/mtls', operationId: 'getServiceMtls', tag: 'Identity', right: { role: 'viewer', scoped: 'checked' }, summary: 'Who calls a service, with a certificate of the mesh and without',
    description: 'As the sidecars of the service count it; kept for 24 hours, by whole hours, in the memory of the control plane.',
    params: z.object({ name: nameParameter }),
    query: z.object({ since: durationParameter(day).default(day.ms).describe('How long ago, at most') }),
    answers: { 200: { description: 'Ports, callers, and who came in plaintext', schema: mtlsStatusShape } }, problems: ['not-found'],
    handle({ params: { name }, query: { since }, access }) {
      findDocument(ports, access, 'Service', name);
      const state = ports.writePath.state();
      const status = state.kind !== 'ready' ? null : mtlsStatus({
        planned: state.planned, service: name, traffic: ports.telemetry.callers({ service: name, sinceMs: ports.clock.wallMs() - since }), sidecars: ports.hub.sidecars(),
      });
      if (status === null) throw new ApiError('not-found', `there is no Service/${name}`);
      return { status: 200, body: status };
    },
  })];
}
