import { Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { z } from 'zod';
import type { SidecarStatus } from '../../push/push-hub.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { limitParameter, nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import type { Access } from '../../operators/access.ts';
import { ForbiddenError } from '../../operators/forbidden-error.ts';
import { requireSubject } from '../require-subject.ts';
import { atParameter, revisionAt } from '../revision-at.ts';
import { entryTypeName } from '../entry-type-name.ts';
import { sidecarHistoryShape, sidecarListShape, sidecarShape, snapshotShape } from '../shapes/sidecar-shape.ts';

const params = z.object({ id: nameParameter.describe('Node id') });
const historyMax = 200;

export function sidecarRoutes(ports: ApiPorts): ApiRoute[] {
  return [listRoute(ports), getRoute(ports), snapshotRoute(ports), historyRoute(ports)];
}

function listRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/sidecars', operationId: 'listSidecars', tag: 'Sidecars', right: { role: 'viewer', scoped: 'checked' }, summary: 'Every sidecar, connected or remembered, with what it enforces',
    query: z.object({
      limit: limitParameter(5_000, 500),
      after: nameParameter.optional().describe('`next` of the page before'),
      subject: z.string().max(300).regex(/^(service|gateway)\/./, { error: 'expected service/NAME or gateway/NAME' }).optional().describe('`service/orders` or `gateway/edge`'),
      phase: z.enum(['in-sync', 'pending', 'refused', 'offline', 'orphaned', 'draining']).optional(),
    }),
    answers: { 200: { description: 'One page, by node id', schema: sidecarListShape } },
    handle({ query, access }) {
      if (query.subject !== undefined) requireSubject(access, query.subject);
      const ofSubject = ports.hub.sidecars().filter(({ subject }) => access.sees(subject)).filter(({ subject }) => query.subject === undefined || subject === query.subject);
      const counts: Record<string, number> = {};
      for (const { phase } of ofSubject) counts[phase] = (counts[phase] ?? 0) + 1;
      const matching = ofSubject.filter(({ phase }) => query.phase === undefined || phase === query.phase).sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
      const { after } = query;
      const rest = after === undefined ? matching : matching.filter(({ nodeId }) => nodeId > after);
      const page = rest.slice(0, query.limit);
      return { status: 200, body: { items: page, next: rest.length > page.length ? (page.at(-1)?.nodeId ?? null) : null, total: matching.length, counts } };
    },
  });
}

function getRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/sidecars/{id}', operationId: 'getSidecar', tag: 'Sidecars', right: { role: 'viewer', scoped: 'checked' }, summary: 'One sidecar',
    params, answers: { 200: { description: 'Its status, from its own words', schema: sidecarShape } }, problems: ['not-found'],
    handle: ({ params: { id }, access }) => ({ status: 200, body: findSidecar(ports, access, id) }),
  });
}

function snapshotRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/sidecars/{id}/snapshot', operationId: 'getSnapshot', tag: 'Sidecars', right: { role: 'viewer', scoped: 'checked' }, summary: 'What a sidecar enforces, resource by resource',
    description: 'Without parameters: what it applied last. `version` or `at`: what was compiled for it by a revision, or at a time.',
    params,
    query: z.object({
      version: z.string().regex(/^\d{1,15}\.\d{1,15}$/, { error: 'expected a version such as 1763792000.41' }).optional().describe('Epoch and index, as a sidecar says them'),
      at: atParameter.optional(),
    }),
    answers: { 200: { description: 'The decoded snapshot', schema: snapshotShape } }, problems: ['not-found', 'gone', 'history-gone'],
    handle({ params: { id }, query, access }) {
      const sidecar = findSidecar(ports, access, id);
      const revision = wantedRevision(ports, query);
      const hash = revision === null ? sidecar.config.appliedHash : manifestOf(ports, sidecar, revision);
      if (hash === '') throw new ApiError('not-found', `${id} has not applied anything yet`);
      return { status: 200, body: { nodeId: id, subject: sidecar.subject, revision: revision ?? sidecar.config.applied.index, hash, entries: decodeEntries(ports, hash) } };
    },
  });
}

function historyRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/sidecars/{id}/history', operationId: 'getSidecarHistory', tag: 'Sidecars', right: { role: 'viewer', scoped: 'checked' }, summary: 'Revisions that changed what a sidecar should enforce, newest first',
    params, query: z.object({ limit: limitParameter(historyMax, 50) }),
    answers: { 200: { description: 'At most 200', schema: sidecarHistoryShape } }, problems: ['not-found'],
    handle({ params: { id }, query, access }) {
      const sidecar = findSidecar(ports, access, id);
      const items = ports.store.manifestHistory(sidecar.subject, query.limit).map(({ index, hash }) => {
        const entry = ports.store.entry(index);
        return { revision: index, at: entry?.at ?? '', author: entry?.author ?? '', message: entry?.message ?? '', hash, current: hash !== '' && hash === sidecar.config.appliedHash };
      });
      return { status: 200, body: { nodeId: id, subject: sidecar.subject, items } };
    },
  });
}

/** null: what is applied now. */
function wantedRevision(ports: ApiPorts, query: { readonly version?: string | undefined; readonly at?: number | string | undefined }): number | null {
  if (query.version !== undefined && query.at !== undefined) throw new ApiError('bad-parameter', 'expected either version or at');
  if (query.at !== undefined) return revisionAt(ports, query.at);
  if (query.version === undefined) return null;
  const [epoch = 0, index = 0] = query.version.split('.').map(Number);
  const entry = ports.store.entry(index);
  if (entry && entry.version.epoch !== epoch) throw new ApiError('not-found', `version ${query.version} is not in this log: its entry ${index} is of epoch ${entry.version.epoch}`);
  return index;
}

function findSidecar(ports: ApiPorts, access: Access, id: string): SidecarStatus {
  const sidecar = ports.hub.sidecar(id);
  if (sidecar ? !access.sees(sidecar.subject) : !access.seesAll) throw new ForbiddenError(access.principal, { role: 'viewer', right: 'read', document: `sidecar ${id}`, detail: `sidecar ${id}: not of this role's scope` });
  if (!sidecar) throw new ApiError('not-found', `there is no sidecar ${id}`);
  return sidecar;
}

function manifestOf(ports: ApiPorts, sidecar: SidecarStatus, revision: number): string {
  if (revision > ports.store.head().index) throw new ApiError('not-found', `there is no revision ${revision}; the newest is ${ports.store.head().index}`);
  if (revision < ports.store.retainedFrom()) throw new ApiError('gone', `revision ${revision} is past retention; the oldest kept is ${ports.store.retainedFrom()}`);
  const hash = ports.store.manifestAt(revision, sidecar.subject);
  if (hash === null) throw new ApiError('not-found', `revision ${revision} has nothing for ${sidecar.subject}`);
  return hash;
}

function decodeEntries(ports: ApiPorts, hash: string): object[] {
  const bytesOf = (wanted: string): Uint8Array => {
    const bytes = ports.store.blob(wanted);
    if (!bytes) throw new ApiError('gone', `the content ${wanted} is not kept any more`);
    return bytes;
  };
  return Manifest.decode(bytesOf(hash)).pages.flatMap((page) => {
    const body = Resource.decode(bytesOf(hex(page))).body;
    if (body?.$case !== 'page') return [];
    return body.value.entries.map((entry) => {
      const resource = hex(entry.hash);
      return { type: entryTypeName(entry.type), name: entry.name, hash: resource, resource: Resource.toJSON(Resource.decode(bytesOf(resource))) };
    });
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
