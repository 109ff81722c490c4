import type { CanaryDocument } from '@remora/model/canary-schema';
import { z } from 'zod';
import type { Access } from '../../operators/access.ts';
import { CanaryOrderError } from '../../rollout/canary-runner.ts';
import type { CanaryOrder } from '../../rollout/canary-runner.ts';
import { canaryStatus } from '../../rollout/canary-status.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { readJsonBody } from '../json-body.ts';
import { nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { requireSubject } from '../require-subject.ts';
import { canaryListShape, canaryStatusShape } from '../shapes/canary-shape.ts';

const params = z.object({ name: nameParameter });

/** Where Canaries stand, and what people tell them. The documents themselves are among the others. */
export function canaryRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/canary-status', operationId: 'listCanaryStatus', tag: 'Canaries', right: { role: 'viewer', scoped: 'checked' }, summary: 'Where each Canary stands',
      description: 'Running ones first, then the last ended. Without their decisions.',
      answers: { 200: { description: 'All of them', schema: canaryListShape } },
      handle: ({ access }) => ({ status: 200, body: { items: listed(ports, access) } }),
    }),
    apiRoute({
      method: 'GET', path: '/v1/canaries/{name}/status', operationId: 'getCanaryStatus', tag: 'Canaries', right: { role: 'viewer', scoped: 'checked' }, summary: 'Where a Canary stands, with the figures behind each decision',
      params, answers: { 200: { description: 'Its status', schema: canaryStatusShape } }, problems: ['not-found'],
      handle({ params: { name }, access }) {
        findDocument(ports, access, 'Canary', name);
        return { status: 200, body: statusOf(ports, name) };
      },
    }),
    orderRoute(ports, 'promote', 'Approves the step that waits for it; where none does, goes on at once', 'Gates and the time of the step hold for an approval, and a gate that failed for everything. `now` goes on at once also where approval is asked for.'),
    orderRoute(ports, 'pause', 'Stays at the weight it has', 'A gate that fails reverts all the same.'),
    orderRoute(ports, 'resume', 'Ends a pause', 'The time of the step went on meanwhile.'),
    orderRoute(ports, 'abort', 'Sets the Routes back to what they were, as a revision', 'Answers when it is decided; the revision follows at once.'),
  ];
}

const promoteBody = z.strictObject({ now: z.boolean().default(false).describe('Also where approval is asked for: do not wait for time and volume') });

function orderRoute(ports: ApiPorts, kind: CanaryOrder['kind'], summary: string, description: string): ApiRoute {
  return apiRoute({
    method: 'POST', path: `/v1/canaries/{name}/${kind}`, operationId: `${kind}Canary`, tag: 'Canaries', right: { role: 'editor', scoped: 'checked' }, summary, description, params,
    ...(kind === 'promote' && { body: { kind: 'json' as const, maxBytes: 1_024, description: '`{"now": true}`, or nothing', schema: promoteBody } }),
    answers: { 200: { description: 'Where it stands now', schema: canaryStatusShape } }, problems: ['not-found', 'canary-over', 'canary-not-begun', 'not-working'],
    handle({ params: { name }, body, access, author }) {
      const canary = findDocument(ports, access, 'Canary', name).document as unknown as CanaryDocument;
      requireSubject(access, `service/${canary.service}`, 'editor');
      const now = kind === 'promote' && body.length > 0 && readJsonBody(promoteBody, body).now;
      ordered(ports, name, kind === 'promote' ? { kind, now } : { kind }, author);
      return { status: 200, body: statusOf(ports, name), audit: { canary: name, order: kind, ...(now && { now }) } };
    },
  });
}

function ordered({ canaries }: ApiPorts, name: string, order: CanaryOrder, author: string): void {
  try {
    canaries.order(name, order, author);
  } catch (error) {
    if (!(error instanceof CanaryOrderError)) throw error;
    throw new ApiError(error.code, error.message);
  }
}

function statusOf({ canaryBook, canaries, store }: ApiPorts, name: string): object {
  const run = canaryBook.get(name);
  const document = store.documents().get(`Canary/${name}`)?.document as unknown as CanaryDocument | undefined;
  return canaryStatus(name, run?.document ?? (document as CanaryDocument), run, canaries);
}

function listed({ canaryBook, canaries, store }: ApiPorts, access: Access): object[] {
  const documents = [...store.documents().values()].filter((stored) => stored.key.startsWith('Canary/') && access.seesDocument(stored));
  const rows = documents.map(({ document }) => {
    const canary = document as unknown as CanaryDocument;
    const run = canaryBook.get(canary.name);
    return { name: canary.name, endedAtMs: run === null ? Number.POSITIVE_INFINITY : (run.endedAtMs ?? Number.POSITIVE_INFINITY), status: canaryStatus(canary.name, run?.document ?? canary, run, canaries) };
  });
  rows.sort((a, b) => (a.endedAtMs === b.endedAtMs ? (a.name < b.name ? -1 : 1) : b.endedAtMs - a.endedAtMs));
  return rows.map(({ status }) => ({ ...status, decisions: undefined }));
}
