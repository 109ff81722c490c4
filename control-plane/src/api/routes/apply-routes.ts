import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { writeAnswerShape } from '../shapes/write-shape.ts';
import { violationShape } from '../shapes/violation-shape.ts';
import { answerWrite, readBody, readSomeDocuments, writeQuery } from '../write-call.ts';

const applyBytes = 64 * 1024 * 1024;
const ownerSet = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/, { error: 'expected letters, digits, . _ / - (at most 128)' });

export function applyRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'POST', path: '/v1/apply', operationId: 'apply', tag: 'Writes', summary: 'Applies many documents as one revision',
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
        const documents = call.query.prune === undefined ? readSomeDocuments(ports, call) : readBody(ports, call);
        const { owner, prune } = call.query;
        return answerWrite(ports, call, { kind: 'apply', documents, ...(owner === undefined ? {} : { owner }), ...(prune === undefined ? {} : { prune }) });
      },
    }),
    apiRoute({
      method: 'POST', path: '/v1/validate', operationId: 'validate', tag: 'Writes', summary: 'Says everything that is wrong with documents, given those in the store',
      description: 'Changes nothing. Guards are not looked at: `apply?dryRun` does.',
      body: { kind: 'documents', maxBytes: applyBytes, description: 'A stream of YAML documents, or JSON: one document or a list' },
      answers: { 200: { description: 'Nothing is wrong', schema: z.object({ documents: z.int(), violations: z.array(violationShape) }) } },
      problems: ['documents-refused'],
      async handle(call) {
        const documents = readSomeDocuments(ports, call);
        await ports.writePath.write({ intent: { kind: 'apply', documents }, author: call.author, message: '', dryRun: true });
        return { status: 200, body: { documents: documents.length, violations: [] } };
      },
    }),
  ];
}
