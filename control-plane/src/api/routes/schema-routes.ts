import { suggest } from '@remora/core/suggest';
import { documentKinds } from '@remora/model/document-key';
import { z } from 'zod';
import { anyDocument, anyDocumentSchema } from '../any-document-schema.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';

const names: readonly string[] = [...documentKinds, anyDocument];

export function schemaRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/schemas', operationId: 'listSchemas', tag: 'Schemas', right: { role: 'viewer', scoped: 'whole' }, summary: 'Kinds of documents with a schema; Document is any of them, for files that hold several',
      answers: { 200: { description: 'Their names', schema: z.object({ items: z.array(z.object({ kind: z.string(), path: z.string() })) }) } },
      handle: () => ({ status: 200, body: { items: names.map((kind) => ({ kind, path: `/v1/schemas/${kind}` })) } }),
    }),
    apiRoute({
      method: 'GET', path: '/v1/schemas/{kind}', operationId: 'getSchema', tag: 'Schemas', right: { role: 'viewer', scoped: 'whole' }, summary: 'JSON Schema 2020-12 of a kind of document, for editors and programs',
      params: z.object({ kind: nameParameter }),
      answers: { 200: { description: 'The schema', contentType: 'application/schema+json' } }, problems: ['not-found'],
      handle({ params: { kind } }) {
        const named = names.find((name) => name.toLowerCase() === kind.toLowerCase());
        const schema = named === anyDocument ? anyDocumentSchema(ports.model) : named === undefined ? null : ports.model.jsonSchemaFor(named);
        if (schema) return { status: 200, body: JSON.stringify(schema), contentType: 'application/schema+json' };
        const near = suggest(kind, names);
        throw new ApiError('not-found', `there is no kind ${kind} in this build${near ? `; did you mean ${near}?` : ''}`);
      },
    }),
  ];
}
