import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { writeRights } from '../../operators/write-rights.ts';
import type { DocumentKey } from '../../store/store.ts';
import { readJsonBody } from '../json-body.ts';
import { writeAnswerShape } from '../shapes/write-shape.ts';
import { violationShape } from '../shapes/violation-shape.ts';
import { answerWrite, narrowly, readBody, readSomeDocuments, writeQuery } from '../write-call.ts';

const applyBytes = 64 * 1024 * 1024;
const ownerSet = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/, { error: 'expected letters, digits, . _ / - (at most 128)' });

const deleteBody = z.strictObject({
  documents: z.array(z.string().max(300).regex(/^[A-Z][A-Za-z]{0,39}\/[^/]+$/, { error: 'expected kind and name, such as Policy/baseline' })).min(1).max(10_000),
});

export function applyRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'POST', path: '/v1/apply', operationId: 'apply', tag: 'Writes', right: { role: 'editor', scoped: 'checked' }, audit: 'revision', summary: 'Applies many documents as one revision',
      description: 'Whole documents are replaced; those that mean the same already make no revision. All or nothing.',
      query: writeQuery.extend({
        owner: ownerSet.optional().describe('Owner set to stamp on the documents'),
        prune: ownerSet.optional().describe('Also deletes what carries this owner set and is missing from the input; stamps it where `owner` is not given'),
      }),
      headers: { 'Idempotency-Key': 'Names this request: sent again, it is not done again', 'X-Remora-Author': 'Who writes, percent-encoded' },
      body: { kind: 'documents', maxBytes: applyBytes, description: 'A stream of YAML documents, or JSON: one document or a list' },
      answers: { 200: { description: 'Done, or what would be done', schema: writeAnswerShape } },
      problems: ['documents-refused', 'empty-prune', 'guard', 'plan-differs', 'referred', 'unknown-guard', 'idempotency-key-reused'],
      async handle(call) {
        // With prune, the write path refuses an empty input in its own words.
        const documents = await (call.query.prune === undefined ? readSomeDocuments(ports, call) : readBody(ports, call));
        const { owner, prune } = call.query;
        return answerWrite(ports, call, { kind: 'apply', documents, ...(owner === undefined ? {} : { owner }), ...(prune === undefined ? {} : { prune }) });
      },
    }),
    apiRoute({
      method: 'POST', path: '/v1/delete', operationId: 'deleteDocuments', tag: 'Writes', right: { role: 'editor', scoped: 'checked' }, audit: 'revision', summary: 'Deletes several documents as one revision',
      description: 'All or nothing, in no order: documents that only name each other go together.',
      query: writeQuery,
      headers: { 'Idempotency-Key': 'Names this request: sent again, it is not done again', 'X-Remora-Author': 'Who writes, percent-encoded' },
      body: { kind: 'json', maxBytes: 4 * 1024 * 1024, description: 'Their names', schema: deleteBody },
      answers: { 200: { description: 'Done, or what would be done', schema: writeAnswerShape } },
      problems: ['not-found', 'referred', 'guard', 'plan-differs', 'unknown-guard', 'idempotency-key-reused'],
      async handle(call) {
        const { documents } = readJsonBody(deleteBody, call.body);
        return answerWrite(ports, call, { kind: 'delete', keys: [...new Set(documents)] as DocumentKey[] });
      },
    }),
    apiRoute({
      method: 'POST', path: '/v1/validate', operationId: 'validate', tag: 'Writes', right: { role: 'viewer', scoped: 'checked' }, summary: 'Says everything that is wrong with documents, given those in the store',
      description: 'Changes nothing. Guards are not looked at: `apply?dryRun` does.',
      body: { kind: 'documents', maxBytes: applyBytes, description: 'A stream of YAML documents, or JSON: one document or a list' },
      answers: { 200: { description: 'Nothing is wrong', schema: z.object({ documents: z.int(), violations: z.array(violationShape) }) } },
      problems: ['documents-refused'],
      async handle(call) {
        const documents = await readSomeDocuments(ports, call);
        const intent = { kind: 'apply', documents } as const;
        await narrowly(ports, call.access, intent, { intent, author: call.author, authority: writeRights(call.access, 'viewer'), message: '', dryRun: true });
        return { status: 200, body: { documents: documents.length, violations: [] } };
      },
    }),
  ];
}
