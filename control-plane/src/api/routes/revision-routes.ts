import { parseDurationMs } from '@remora/core/units';
import { z } from 'zod';
import type { DocumentChange, DocumentKey, LogEntry, StoredDocument } from '../../store/store.ts';
import { diffOf } from '../../write/document-diff.ts';
import { intendedChanges } from '../../write/intended-changes.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { limitParameter, revisionNumber, wholeNumber } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import type { Access } from '../../operators/access.ts';
import type { EntryPage } from '../../store/store.ts';
import { findEntry, findVisibleEntry } from '../revision-at.ts';
import { visibleChanges, visibleEntry } from '../visible-changes.ts';
import { visibleEnforcement } from '../visible-enforcement.ts';
import { documentsListed, enforcementAnswer, revisionAnswer } from '../revision-answer.ts';
import { enforcementShape, revisionDiffShape, revisionListShape, revisionShape } from '../shapes/revision-shape.ts';
import { writeAnswerShape } from '../shapes/write-shape.ts';
import { answerWrite, writeQuery } from '../write-call.ts';

const params = z.object({ n: revisionNumber.describe('Number of a revision') });
const writeHeaders = { 'Idempotency-Key': 'Names this request: sent again, it is not done again', 'X-Remora-Author': 'Who writes, percent-encoded' };

/** Documents whose differences are in one answer; `changeCount` is the whole number. */
const changesMax = 1_000;

export function revisionRoutes(ports: ApiPorts): ApiRoute[] {
  return [listRoute(ports), getRoute(ports), diffRoute(ports), enforcementRoute(ports), revertRoute(ports), restoreRoute(ports)];
}

function listRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/revisions', operationId: 'listRevisions', tag: 'Revisions', right: { role: 'viewer', scoped: 'checked' }, summary: 'The log, newest first',
    query: z.object({
      limit: limitParameter(1_000, 50),
      before: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe('`next` of the page before'),
      since: z.string().max(40).optional().describe('A time (`2027-01-31T14:02:00Z`) or how long ago (`30m`)'),
      document: z.string().regex(/^[A-Za-z]{1,40}\/.{1,253}$/, { error: 'expected kind and name, such as Policy/baseline' }).optional().describe('Only revisions that changed this document'),
    }),
    answers: { 200: { description: 'One page', schema: revisionListShape } },
    handle({ query, access }) {
      const { entries, scannedTo } = visibleEntries(ports, access, {
        limit: query.limit + 1,
        changesMax: documentsListed,
        ...(query.before === undefined ? {} : { before: query.before }),
        ...(query.since === undefined ? {} : { sinceMs: sinceMs(query.since, ports.clock.wallMs()) }),
        ...(query.document === undefined ? {} : { key: query.document as DocumentKey }),
      });
      const page = entries.slice(0, query.limit);
      const next = entries.length > query.limit ? String(page.at(-1)?.version.index) : scannedTo === null ? null : String(scannedTo);
      return { status: 200, body: { items: page.map((entry) => revisionAnswer(entry, documentsListed)), next, head: ports.store.head(), retainedFrom: ports.store.retainedFrom() } };
    },
  });
}

function getRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/revisions/{n}', operationId: 'getRevision', tag: 'Revisions', right: { role: 'viewer', scoped: 'checked' }, summary: 'One revision',
    params, answers: { 200: { description: 'The revision', schema: revisionShape } }, problems: ['not-found', 'history-gone'],
    handle: ({ params: { n }, access }) => ({ status: 200, body: revisionAnswer(findVisibleEntry(ports, access, n)) }),
  });
}

function diffRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/revisions/{n}/diff', operationId: 'diffRevision', tag: 'Revisions', right: { role: 'viewer', scoped: 'checked' }, summary: 'What a revision changed, field by field; or the difference of two',
    description: 'Without `against`: what `n` itself changed. With it: from the state after `against` to the state after `n`.',
    params, query: z.object({ against: revisionNumber.optional() }),
    answers: { 200: { description: 'Differences by document', schema: revisionDiffShape } }, problems: ['not-found', 'history-gone'],
    async handle({ params: { n }, query: { against }, access }) {
      const changes = against === undefined ? findVisibleEntry(ports, access, n).changes : visibleChanges(access, await changesBetween(await documentsAfter(ports, against), await documentsAfter(ports, n), ports));
      return { status: 200, body: { from: against ?? n - 1, to: n, changes: changes.slice(0, changesMax).map(diffOf), changeCount: changes.length } };
    },
  });
}

function enforcementRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/revisions/{n}/enforcement', operationId: 'getEnforcement', tag: 'Revisions', right: { role: 'viewer', scoped: 'checked' }, summary: 'Which sidecars enforce a revision, and which refused it and why',
    description: 'Counts are whole on every page. Kept for the newest 1,000 revisions, also over restarts of the control plane.',
    params,
    query: z.object({
      limit: limitParameter(1_000, 200),
      after: z.string().max(300).regex(/^(refused|pending|offline|superseded|applied)\/./, { error: 'expected `next` of the page before' }).optional().describe('`next` of the page before'),
      outcome: z.enum(['refused', 'pending', 'offline', 'superseded', 'applied']).optional(),
    }),
    answers: { 200: { description: 'Outcome per sidecar concerned, one page', schema: enforcementShape } }, problems: ['not-found', 'gone'],
    handle({ params: { n }, query, access }) {
      if (!access.seesAll) findVisibleEntry(ports, access, n);
      const enforcement = ports.hub.enforcement(n);
      if (enforcement) return { status: 200, body: enforcementAnswer(visibleEnforcement(access, enforcement), query) };
      findEntry(ports, n);
      throw new ApiError('gone', `who enforced revision ${n} is not remembered any more`);
    },
  });
}

function revertRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/revisions/{n}/revert', operationId: 'revertRevision', tag: 'Writes', right: { role: 'editor', scoped: 'checked' }, audit: 'revision', summary: 'Undoes what one revision did, as a new revision',
    description: 'Only its documents; refused where they changed since.',
    params, query: writeQuery, headers: writeHeaders,
    answers: { 200: { description: 'Done, or what would be done', schema: writeAnswerShape } },
    problems: ['not-found', 'history-gone', 'revert-conflict', 'nothing-to-revert', 'documents-refused', 'referred', 'guard', 'plan-differs'],
    handle: (call) => answerWrite(ports, call, { kind: 'revert', entry: revertible(ports, call.access, call.params.n) }),
  });
}

function restoreRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/restore-to/{n}', operationId: 'restoreTo', tag: 'Writes', right: { role: 'editor', scoped: 'checked' }, audit: 'revision', summary: 'Sets the whole state to that after a revision, as a new revision',
    params, query: writeQuery, headers: writeHeaders,
    answers: { 200: { description: 'Done, or what would be done', schema: writeAnswerShape } },
    problems: ['not-found', 'history-gone', 'documents-refused', 'guard', 'plan-differs'],
    handle: async (call) => answerWrite(ports, call, { kind: 'restore-to', index: call.params.n, documents: await documentsAfter(ports, call.params.n) }),
  });
}

/** Entries looked at for one page of a role with a scope: it may be shorter than asked for, and has a next one then. */
const scannedMax = 2_000;

function visibleEntries(ports: ApiPorts, access: Access, page: EntryPage): { readonly entries: readonly LogEntry[]; readonly scannedTo: number | null } {
  if (access.seesAll) return { entries: ports.store.entries(page), scannedTo: null };
  const found: LogEntry[] = [];
  const { changesMax: _, ...whole } = page;
  let before = page.before;
  for (let scanned = 0; scanned < scannedMax;) {
    const entries = ports.store.entries({ ...whole, limit: 100, ...(before === undefined ? {} : { before }) });
    for (const entry of entries) {
      const visible = visibleEntry(access, entry);
      if (visible) found.push(visible);
      if (found.length === page.limit) return { entries: found, scannedTo: null };
    }
    const last = entries.at(-1);
    if (!last || entries.length < 100) return { entries: found, scannedTo: null };
    before = last.version.index;
    scanned += entries.length;
  }
  return { entries: found, scannedTo: before ?? null };
}

/** The whole entry: what it changed outside of the scope stands in the way, and must not be left out silently. */
function revertible(ports: ApiPorts, access: Access, n: number): LogEntry {
  findVisibleEntry(ports, access, n);
  return findEntry(ports, n);
}

function documentsAfter(ports: ApiPorts, index: number): Promise<ReadonlyMap<DocumentKey, StoredDocument>> {
  return ports.slices.run(ports.store.documentsInSteps(index === 0 ? { epoch: 0, index: 0 } : findEntry(ports, index).version));
}

/** A restore from one state to the other, as changes. */
function changesBetween(before: ReadonlyMap<DocumentKey, StoredDocument>, after: ReadonlyMap<DocumentKey, StoredDocument>, ports: ApiPorts): Promise<readonly DocumentChange[]> {
  return ports.slices.run(intendedChanges({ kind: 'restore-to', index: 0, documents: after }, before, (a, b) => ports.model.canonicallyEqual(a, b)));
}

function sinceMs(text: string, nowMs: number): number {
  const ago = parseDurationMs(text);
  if (ago !== null) return nowMs - ago;
  const at = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new ApiError('bad-parameter', 'since: expected a time such as 2027-01-31T14:02:00Z, or how long ago, such as 30m', { violations: [{ document: 'query', pointer: '/since', code: 'bad-parameter', message: 'neither a time nor a duration' }] });
  return at;
}
