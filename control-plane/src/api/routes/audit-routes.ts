import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { limitParameter, wholeNumber } from '../parameters.ts';
import { auditListShape } from '../shapes/audit-shape.ts';

const seqParameter = wholeNumber(0, Number.MAX_SAFE_INTEGER);

/** Who did what, for people page by page, and as it is stored for whoever verifies it. */
export function auditRoutes(ports: ApiPorts): ApiRoute[] {
  return [listRoute(ports), exportRoute(ports)];
}

function listRoute({ audit, store }: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/audit', operationId: 'listAudit', tag: 'Operators', right: { role: 'admin', scoped: 'refused' }, summary: 'Who did what, newest first',
    description: 'Every write, use of tokens, refusal and action of the authority. `remora audit verify` proves that nothing of it was changed.',
    query: z.object({ limit: limitParameter(1_000, 100), before: seqParameter.optional().describe('`next` of the page before') }),
    answers: { 200: { description: 'One page', schema: auditListShape } },
    handle({ query: { limit, before } }) {
      audit.flush();
      const rows = store.audit.newest({ limit: limit + 1, ...(before === undefined ? {} : { before }) });
      const page = rows.slice(0, limit);
      return { status: 200, body: { items: page.map(entryOf), next: rows.length > limit ? (page.at(-1)?.seq ?? null) : null, total: store.audit.count(), head: store.audit.head(), anchor: store.audit.anchor() } };
    },
  });
}

function exportRoute({ audit, store }: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/audit/export', operationId: 'exportAudit', tag: 'Operators', right: { role: 'admin', scoped: 'refused' }, summary: 'Entries as they are stored and hashed, oldest first, one a line',
    description: 'Behind `after`. A page with fewer lines than `limit` is the last one.',
    query: z.object({ after: seqParameter.default(0), limit: limitParameter(5_000, 1_000) }),
    answers: { 200: { description: 'Canonical JSON, one entry a line', contentType: 'application/jsonl' } },
    handle({ query }) {
      audit.flush();
      const rows = store.audit.texts(query);
      return { status: 200, body: rows.map(({ text }) => `${text.replaceAll('\n', ' ')}\n`).join(''), contentType: 'application/jsonl' };
    },
  });
}

function entryOf({ seq, text }: { readonly seq: number; readonly text: string }): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && (value as { readonly seq?: unknown }).seq === seq) return value;
  } catch {
    // Told below, as it is.
  }
  return { seq, damaged: text.slice(0, 1_000) };
}
