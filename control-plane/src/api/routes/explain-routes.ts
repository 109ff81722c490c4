import { subjectKey } from '@remora/core/subject';
import type { Subject } from '@remora/core/subject';
import { suggest } from '@remora/core/suggest';
import { kindOrder } from '@remora/policy-kit/order';
import { z } from 'zod';
import type { Planned } from '../../compile/planner.ts';
import type { FieldProvenance, Place } from '../../resolve/effective.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { flagParameter, nameParameter } from '../parameters.ts';
import { readJsonBody } from '../json-body.ts';
import type { Access } from '../../operators/access.ts';
import { withoutSuggestions } from '../narrow-write-error.ts';
import { requireName, requireSubject } from '../require-subject.ts';
import { missingPlaceText } from '../missing-place.ts';
import { ApiError } from '../problem.ts';
import { findRequestPlace } from '../request-place.ts';
import { atField, atParameter, findEntry, revisionAt } from '../revision-at.ts';
import { explanationShape, requestExplanationShape } from '../shapes/explain-shape.ts';

const subjectText = z.string().regex(/^((service|gateway)\/)?[^/]{1,253}$/, { error: 'expected NAME, service/NAME or gateway/NAME' });

export function explainRoutes(ports: ApiPorts): ApiRoute[] {
  return [explainPlace(ports), explainRequest(ports)];
}

function explainPlace(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/explain', operationId: 'explain', tag: 'Explain', right: { role: 'viewer', scoped: 'checked' }, summary: 'Per field: the value that holds, which policy set it, which lost, and why',
    description: 'Provider-side kinds: what the sidecar of the service (or the gateway) enforces. With `caller`: also what that caller\'s side does when it calls the service.',
    query: z.object({
      service: nameParameter.optional(),
      gateway: nameParameter.optional(),
      route: nameParameter.optional(),
      field: z.string().regex(/^\/.{1,1000}$/, { error: 'expected a JSON pointer such as /retry/retries' }).optional(),
      caller: subjectText.optional().describe('As this service (or gateway/NAME) calls it'),
      callerRoute: nameParameter.optional().describe('The gateway\'s route, where a gateway calls'),
      at: atParameter.optional().describe('As of a revision, or of a time'),
      all: flagParameter.describe('Also fields that no policy sets'),
    }),
    answers: { 200: { description: 'What policies set, or `field` and what of it they set', schema: explanationShape } }, problems: ['not-found', 'not-ready', 'history-gone'],
    async handle({ query, access }) {
      const place = placeOf(query);
      requirePlace(access, place);
      const { revision, state } = await stateAt(ports, query.at);
      return { status: 200, body: { revision, ...explanation(access, state, place, { all: query.all, field: query.field }) } };
    },
  });
}

const askedBody = z.strictObject({
  service: nameParameter.optional(),
  gateway: nameParameter.optional(),
  caller: subjectText.optional(),
  at: atField.optional(),
  request: z.strictObject({
    method: z.string().regex(/^[A-Z][A-Z-]{0,31}$/, { error: 'expected a method such as GET' }).default('GET'),
    authority: z.string().max(300).default('').describe('As the client names it in Host'),
    path: z.string().startsWith('/', { error: 'expected a path that begins with /' }).max(8_192),
    headers: z.record(z.string().max(256), z.string().max(8_192)).default({}),
    port: nameParameter.optional().describe('Port of the service, or listener of the gateway; default: the first'),
  }),
});

function explainRequest(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/explain', operationId: 'explainRequest', tag: 'Explain', right: { role: 'viewer', scoped: 'checked' }, summary: 'What would happen to a request: its route, where it goes, and what holds there',
    description: 'Matched with the code that sidecars run, on what is compiled for them. Nothing is sent.',
    query: z.object({ all: flagParameter.describe('Also fields that no policy sets') }),
    body: { kind: 'json', maxBytes: 64 * 1024, description: 'The request, and where it arrives', schema: askedBody },
    answers: { 200: { description: 'The place, and the explanation of all its fields', schema: requestExplanationShape } }, problems: ['not-found', 'not-ready', 'history-gone'],
    async handle(call) {
      const asked = readJsonBody(askedBody, call.body);
      const { all } = call.query;
      const { access } = call;
      requirePlace(access, placeOf(asked));
      const { revision, state } = await stateAt(ports, asked.at);
      const { owner } = placeOf(asked);
      const { port, ...request } = asked.request;
      const found = findRequestPlace(state, owner, { ...request, ...(port === undefined ? {} : { port }) });
      const place = placeOf({ ...asked, ...(found.route === '' ? {} : { route: found.route }) });
      const targets = found.targets.map((target) => ({
        ...target,
        ...explanation(access, state, placeOf({ service: target.service, ...(target.route === '' ? {} : { route: target.route }), caller: subjectKey(owner), ...(found.route === '' ? {} : { callerRoute: found.route }) }), { all }),
      }));
      return { status: 200, body: { revision, ...found, ...explanation(access, state, place, { all }), targets } };
    },
  });
}

/** The place must be in the scope; a caller may be a neighbour of it. What a caller in the scope does is its own, whomever it calls. */
function requirePlace(access: Access, { owner, caller }: Place): void {
  if (caller && access.sees(subjectKey(caller))) {
    requireName(access, subjectKey(owner));
    return;
  }
  requireSubject(access, subjectKey(owner));
  if (caller) requireName(access, subjectKey(caller));
}

interface Asked {
  /** Fields that no policy sets too. */
  readonly all: boolean;
  readonly field?: string | undefined;
}

interface Explanation {
  readonly place: Place;
  readonly sections: readonly object[];
  readonly fields: readonly FieldProvenance[];
  readonly defaults: number;
}

function explanation(access: Access, state: Planned, place: Place, { all, field }: Asked): Explanation {
  const { resolver } = state;
  checkField(field);
  const fields = resolver.explain(place, field);
  if (fields === null) throw new ApiError('not-found', access.seesAll ? missingPlaceText(state.state, place) : withoutSuggestions(missingPlaceText(state.state, place)));
  const shown = all ? fields : fields.filter((one) => isSet(one) || isNamed(one, field));
  return { place, sections: resolver.effective(place).map(({ kind, value, shadow }) => ({ kind, value, shadow })), fields: shown, defaults: fields.length - shown.length };
}

/** Some policy has a say in it: its value, one that lost, or a bound. */
function isSet({ winner, losers, bounds }: FieldProvenance): boolean {
  return winner !== 'default' || losers.length > 0 || bounds.length > 0;
}

/** Who asks for one field gets it, whoever set it. */
function isNamed({ pointer }: FieldProvenance, field: string | undefined): boolean {
  return field !== undefined && (pointer === field || field.startsWith(`${pointer}/`));
}

/** A field of a kind that does not exist would look like one that nobody sets. */
function checkField(field: string | undefined): void {
  const kind = field?.split('/')[1];
  if (kind === undefined || kindOrder.some(({ name }) => name === kind)) return;
  const near = suggest(kind, kindOrder.map(({ name }) => name));
  throw new ApiError('bad-parameter', `field: there is no policy kind ${kind.slice(0, 60)}${near === undefined ? '' : `; did you mean /${near}?`}`);
}

/** The current state, or that after a revision (understood anew: rare, and never on the write path). */
async function stateAt(ports: ApiPorts, at: number | string | undefined): Promise<{ readonly revision: number; readonly state: Planned }> {
  if (at === undefined) {
    const state = ports.writePath.state();
    if (state.kind !== 'ready') throw new ApiError('not-ready', state.kind === 'broken' ? 'the documents in the store cannot be compiled by this build' : 'the control plane is starting');
    return { revision: ports.store.head().index, state: state.planned };
  }
  const entry = findEntry(ports, revisionAt(ports, at));
  const revision = entry.version.index;
  const documents = await ports.slices.run(ports.store.documentsInSteps(entry.version));
  const result = await ports.slices.run(ports.planner.planInSteps(null, documents, []));
  if (!result.ok) throw new ApiError('not-ready', `the documents of revision ${revision} cannot be compiled by this build`, { violations: result.violations });
  return { revision, state: result.planned };
}

function placeOf(query: { service?: string | undefined; gateway?: string | undefined; route?: string | undefined; caller?: string | undefined; callerRoute?: string | undefined }): Place {
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
