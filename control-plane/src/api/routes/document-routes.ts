import type { JsonObject } from '@remora/core/canonical-json';
import { z } from 'zod';
import type { DocumentKey, StoredDocument } from '../../store/store.ts';
import { etagOf } from '../../write/intended-changes.ts';
import { WriteError } from '../../write/write-error.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiCall, ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { limitParameter, listParameter, nameParameter } from '../parameters.ts';
import { ApiError, countText } from '../problem.ts';
import { documentListShape, writeAnswerShape } from '../shapes/write-shape.ts';
import { answerWrite, readBody, writeQuery } from '../write-call.ts';

/** Kinds of documents by the word in their paths; `built` ones work, the others are refused as reserved. */
const kinds = [
  { plural: 'services', kind: 'Service', built: true },
  { plural: 'gateways', kind: 'Gateway', built: true },
  { plural: 'routes', kind: 'Route', built: true },
  { plural: 'policies', kind: 'Policy', built: true },
  { plural: 'mesh', kind: 'Mesh', built: true },
  { plural: 'consumers', kind: 'Consumer', built: true },
  { plural: 'plans', kind: 'Plan', built: true },
  { plural: 'canaries', kind: 'Canary', built: true },
] as const;

type Kind = (typeof kinds)[number];

const oneBytes = 1024 * 1024;

export function documentRoutes(ports: ApiPorts): ApiRoute[] {
  return kinds.flatMap((kind) => (kind.built ? [listRoute(ports, kind), getRoute(ports, kind), putRoute(ports, kind), deleteRoute(ports, kind)] : reservedRoutes(kind)));
}

const nameParams = z.object({ name: nameParameter });

const listQuery = z.object({
  limit: limitParameter(1_000, 100),
  after: z.string().max(300).optional().describe('`next` of the page before'),
  label: listParameter.describe('`key=value`, or `key` for any value; all must hold'),
  owner: z.string().max(253).optional().describe('Owner set'),
  name: z.string().max(253).optional().describe('Names that begin with this'),
});

function listRoute(ports: ApiPorts, { plural, kind }: Kind): ApiRoute {
  return apiRoute({
    method: 'GET', path: `/v1/${plural}`, operationId: `list${kind}`, tag: 'Documents', right: { role: 'viewer', scoped: 'checked' }, summary: `All ${kind} documents, by name`,
    query: listQuery,
    answers: { 200: { description: 'One page', schema: documentListShape } },
    handle({ query, access }) {
      const labels = query.label.map((text): [string, string | null] => (text.includes('=') ? [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)] : [text, null]));
      const matching = [...ports.store.documents().values()]
        .filter((stored) => stored.key.startsWith(`${kind}/${query.name ?? ''}`) && access.seesDocument(stored) && (query.owner === undefined || stored.owner === query.owner) && labels.every(([key, value]) => hasLabel(stored.document, key, value)))
        .sort((a, b) => (a.key < b.key ? -1 : 1));
      const start = query.after === undefined ? 0 : matching.findIndex((stored) => stored.key > `${kind}/${query.after}`);
      const page = start < 0 ? [] : matching.slice(start, start + query.limit);
      const last = page.at(-1);
      const more = last !== undefined && last !== matching.at(-1);
      return { status: 200, body: { items: page.map(storedAnswer), next: more ? last.key.slice(kind.length + 1) : null, total: matching.length, head: ports.store.head() } };
    },
  });
}

function getRoute(ports: ApiPorts, { plural, kind }: Kind): ApiRoute {
  return apiRoute({
    method: 'GET', path: `/v1/${plural}/{name}`, operationId: `get${kind}`, tag: 'Documents', right: { role: 'viewer', scoped: 'checked' }, summary: `One ${kind}, as it was applied`,
    description: 'The ETag changes with each write. `If-None-Match` answers 304 where it is the same still.',
    params: nameParams,
    headers: { 'If-None-Match': 'ETag that is known already' },
    answers: { 200: { description: 'The document' }, 304: { description: 'As known already' } },
    problems: ['not-found'],
    handle({ params, header, access }) {
      const stored = findDocument(ports, access, kind, params.name);
      const etag = etagOf(stored);
      const headers = { etag, 'x-remora-revision': String(stored.writtenAt), ...(stored.owner === '' ? {} : { 'x-remora-owner': encodeURIComponent(stored.owner) }) };
      if (etagList(header('if-none-match')).some((known) => known === etag || known === '*')) return { status: 304, headers };
      return { status: 200, headers, body: stored.document };
    },
  });
}

function putRoute(ports: ApiPorts, { plural, kind }: Kind): ApiRoute {
  return apiRoute({
    method: 'PUT', path: `/v1/${plural}/{name}`, operationId: `put${kind}`, tag: 'Documents', right: { role: 'editor', scoped: 'checked' }, audit: 'revision', summary: `Creates or replaces one ${kind}`,
    description: 'The whole document is replaced. `If-Match` refuses where it changed since it was read, `If-None-Match: *` where it exists.',
    params: nameParams, query: writeQuery,
    headers: { 'If-Match': 'ETag the document must have', 'If-None-Match': '`*`: it must not exist yet', 'Idempotency-Key': 'Names this request: sent again, it is not done again', 'X-Remora-Author': 'Who writes, percent-encoded' },
    body: { kind: 'documents', maxBytes: oneBytes, description: `One ${kind}, as YAML or JSON` },
    answers: { 200: { description: 'Done, or what would be done', schema: writeAnswerShape } },
    problems: ['documents-refused', 'etag-mismatch', 'guard', 'plan-differs'],
    async handle(call) {
      const key: DocumentKey = `${kind}/${call.params.name}`;
      const documents = await readBody(ports, call);
      const [first] = documents;
      if (documents.length !== 1 || !first) throw new ApiError('bad-request', `expected one document, found ${documents.length}; many go to /v1/apply`);
      if (first.key !== key) {
        const violation = { document: first.key, pointer: '/name', code: 'name-mismatch', message: `the path says ${key}, the document ${first.key}` };
        throw new WriteError('documents-refused', countText(1), { violations: [violation] });
      }
      const match = matchOf(call, key);
      return answerWrite(ports, call, { kind: 'apply', documents, ...(match ? { match } : {}) });
    },
  });
}

function deleteRoute(ports: ApiPorts, { plural, kind }: Kind): ApiRoute {
  return apiRoute({
    method: 'DELETE', path: `/v1/${plural}/{name}`, operationId: `delete${kind}`, tag: 'Documents', right: { role: 'editor', scoped: 'checked' }, audit: 'revision', summary: `Deletes one ${kind}`,
    description: 'Refused with the list of referrers where other documents name it, and by the guard `in-use` where sidecars run for it.',
    params: nameParams, query: writeQuery,
    headers: { 'If-Match': 'ETag the document must have', 'Idempotency-Key': 'Names this request: sent again, it is not done again', 'X-Remora-Author': 'Who writes, percent-encoded' },
    answers: { 200: { description: 'Done, or what would be done', schema: writeAnswerShape } },
    problems: ['not-found', 'etag-mismatch', 'referred', 'guard', 'plan-differs'],
    async handle(call) {
      const key: DocumentKey = `${kind}/${call.params.name}`;
      // A repeated delete finds nothing: the idempotency key answers before that is looked at.
      if (call.header('idempotency-key') === undefined) findDocument(ports, call.access, kind, call.params.name);
      const match = matchOf(call, key);
      return answerWrite(ports, call, { kind: 'delete', keys: [key], ...(match ? { match } : {}) });
    },
  });
}

function reservedRoutes({ plural, kind }: Kind): ApiRoute[] {
  const refuse = (): never => {
    throw new ApiError('not-available', `${kind} documents are not available in this build`);
  };
  const of = (method: ApiRoute['method'], path: string, verb: string): ApiRoute =>
    apiRoute({
      method, path, operationId: `${verb}${kind}`, tag: 'Reserved', right: { role: method === 'GET' ? 'viewer' : 'editor', scoped: 'checked' }, summary: `Reserved: ${kind} is not available in this build`,
      ...(path.includes('{name}') ? { params: nameParams } : {}), answers: {}, problems: ['not-available'], handle: refuse,
    });
  return [of('GET', `/v1/${plural}`, 'list'), of('GET', `/v1/${plural}/{name}`, 'get'), of('PUT', `/v1/${plural}/{name}`, 'put'), of('DELETE', `/v1/${plural}/{name}`, 'delete')];
}

function storedAnswer(stored: StoredDocument): object {
  return { document: stored.document, revision: stored.writtenAt, owner: stored.owner, etag: etagOf(stored) };
}

function hasLabel(document: JsonObject, key: string, value: string | null): boolean {
  const labels = document['labels'];
  if (typeof labels !== 'object' || labels === null || !Object.hasOwn(labels, key)) return false;
  return value === null || (labels as JsonObject)[key] === value;
}

/** RFC 9110 section 13.1: a list of entity tags, or `*`. */
function etagList(header: string | undefined): string[] {
  return (header ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, '')).filter((tag) => tag !== '');
}

function matchOf(call: ApiCall<unknown, unknown>, key: DocumentKey): ReadonlyMap<DocumentKey, readonly string[]> | null {
  const tags = etagList(call.header('if-match'));
  const absent = etagList(call.header('if-none-match'));
  if (absent.length > 0 && absent[0] !== '*') throw new ApiError('bad-request', 'If-None-Match: only * is understood with a write');
  if (tags.length > 0) return new Map([[key, tags]]);
  return absent.length > 0 ? new Map([[key, ['']]]) : null;
}
