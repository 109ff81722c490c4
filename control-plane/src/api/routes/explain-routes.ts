import type { Subject } from '@remora/core/subject';
import { z } from 'zod';
import type { Place } from '../../resolve/effective.ts';
import type { Resolver } from '../../resolve/resolver.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { nameParameter, revisionNumber } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { explanationShape } from '../shapes/explain-shape.ts';

const subjectText = z.string().regex(/^((service|gateway)\/)?[^/]{1,253}$/, { error: 'expected NAME, service/NAME or gateway/NAME' });

export function explainRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/explain', operationId: 'explain', tag: 'Explain', summary: 'Per field: the value that holds, which policy set it, which lost, and why',
      description: 'Provider-side kinds: what the sidecar of the service (or the gateway) enforces. With `caller`: also what that caller\'s side does when it calls the service.',
      query: z.object({
        service: nameParameter.optional(),
        gateway: nameParameter.optional(),
        route: nameParameter.optional(),
        field: z.string().regex(/^\/.{1,1000}$/, { error: 'expected a JSON pointer such as /retry/retries' }).optional(),
        caller: subjectText.optional().describe('As this service (or gateway/NAME) calls it'),
        callerRoute: nameParameter.optional().describe('The gateway\'s route, where a gateway calls'),
        at: revisionNumber.optional().describe('As of a revision'),
      }),
      answers: { 200: { description: 'All fields, or those at or below `field`', schema: explanationShape } }, problems: ['not-found', 'not-ready', 'history-gone'],
      handle({ query }) {
        const place = placeOf(query);
        const resolver = resolverAt(ports, query.at);
        const fields = resolver.explain(place, query.field);
        if (fields === null) throw new ApiError('not-found', `there is no such place: ${placeText(place)}`);
        const sections = resolver.effective(place).map(({ kind, value, shadow }) => ({ kind, value, shadow }));
        return { status: 200, body: { place, revision: query.at ?? ports.store.head().index, sections, fields } };
      },
    }),
  ];
}

/** Resolver of the current state, or of that after a revision (computed anew: rare, and never on the write path). */
export function resolverAt(ports: ApiPorts, revision: number | undefined): Resolver {
  const state = ports.writePath.state();
  if (revision === undefined) {
    if (state.kind !== 'ready') throw new ApiError('not-ready', state.kind === 'broken' ? 'the documents in the store cannot be compiled by this build' : 'the control plane is starting');
    return state.planned.resolver;
  }
  const entry = ports.store.entry(revision);
  if (!entry) throw new ApiError('not-found', `there is no revision ${revision}, or it is past retention`);
  const result = ports.planner.plan(null, ports.store.documents(entry.version), []);
  if (!result.ok) throw new ApiError('not-ready', `the documents of revision ${revision} cannot be compiled by this build`, { violations: result.violations });
  return result.planned.resolver;
}

export function placeOf(query: { service?: string | undefined; gateway?: string | undefined; route?: string | undefined; caller?: string | undefined; callerRoute?: string | undefined }): Place {
  if ((query.service === undefined) === (query.gateway === undefined)) throw new ApiError('bad-parameter', 'expected either service or gateway');
  const owner: Subject = query.service === undefined ? { kind: 'gateway', name: query.gateway ?? '' } : { kind: 'service', name: query.service };
  const caller = query.caller === undefined ? undefined : subjectOf(query.caller);
  return {
    owner,
    ...(query.route === undefined ? {} : { route: query.route }),
    ...(caller ? { caller: { ...caller, ...(query.callerRoute === undefined ? {} : { route: query.callerRoute }) } } : {}),
  };
}

function subjectOf(text: string): Subject {
  return { kind: text.startsWith('gateway/') ? 'gateway' : 'service', name: text.slice(text.indexOf('/') + 1) };
}

function placeText({ owner, route, caller }: Place): string {
  return `${owner.kind}/${owner.name}${route === undefined ? '' : `, route ${route}`}${caller ? `, called by ${caller.kind}/${caller.name}` : ''}`;
}
