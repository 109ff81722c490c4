import { suggest } from '@remora/core/suggest';
import { documentKinds } from '@remora/model/document-key';
import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';

export function schemaRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/schemas', operationId: 'listSchemas', tag: 'Schemas', summary: 'Kinds of documents with a schema',
      answers: { 200: { description: 'Their names', schema: z.object({ items: z.array(z.object({ kind: z.string(), path: z.string() })) }) } },
      handle: () => ({ status: 200, body: { items: documentKinds.map((kind) => ({ kind, path: `/v1/schemas/${kind}` })) } }),
    }),
    apiRoute({
      method: 'GET', path: '/v1/schemas/{kind}', operationId: 'getSchema', tag: 'Schemas', summary: 'JSON Schema 2020-12 of a kind of document, for editors and programs',
      params: z.object({ kind: nameParameter }),
      answers: { 200: { description: 'The schema', contentType: 'application/schema+json' } }, problems: ['not-found'],
      handle({ params: { kind } }) {
        const schema = ports.model.jsonSchemaFor(kind);
        if (schema) return { status: 200, body: JSON.stringify(schema), contentType: 'application/schema+json' };
        const near = suggest(kind, documentKinds);
        throw new ApiError('not-found', `there is no kind ${kind} in this build${near ? `; did you mean ${near}?` : ''}`);
      },
    }),
  ];
}
