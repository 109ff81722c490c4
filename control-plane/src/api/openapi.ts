import type { Json, JsonObject } from '@remora/core/canonical-json';
import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { RouteRight } from '../operators/route-right.ts';
import type { ApiRoute } from './api-route.ts';
import { apiProblems } from './problem.ts';
import type { ApiProblemCode } from './problem.ts';
import { problemShape } from './shapes/violation-shape.ts';
import { shapeRegistry } from './shapes/shape.ts';
import { writeErrorStatus } from '../write/write-error.ts';
import type { WriteErrorCode } from '../write/write-error.ts';

/** OpenAPI 3.1 of the routes: the same records that answer, and the same shapes. */
export function openApiDocument(routes: readonly ApiRoute[], version: string): JsonObject {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Remora control plane',
      version,
      description: 'Every command of `remora` works over this API. Errors are problem documents (RFC 9457) with a stable `code` and all violations at once.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: { schemas: componentSchemas(), securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'An API token (`remora api-token create`), or a JWT of the issuer of `--oidc-issuer`. Not asked for with `--api-auth off`' } } },
  };
}

function operation(route: ApiRoute): JsonObject {
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query'), ...headersOf(route)];
  return {
    operationId: route.operationId,
    tags: [route.tag],
    summary: route.summary,
    description: [route.description ?? '', rightText(route.right)].filter((text) => text !== '').join(' '),
    security: route.right === 'open' ? [] : [{ token: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body ? { requestBody: bodyOf(route.body) } : {}),
    responses: responsesOf(route),
  };
}

/** Who may use it, in one sentence. */
function rightText(right: RouteRight): string {
  if (right === 'open') return 'Without a token.';
  const scope = { checked: 'a role with a scope gets no more than its scope', refused: 'for everything', whole: '' }[right.scoped];
  return `Needs the role ${right.role}${scope === '' ? '' : `; ${scope}`}${right.first ? '; the first token may too' : ''}.`;
}

function parametersOf(schema: z.ZodObject | undefined, where: 'path' | 'query'): JsonObject[] {
  return Object.entries(schema?.shape ?? {}).map(([name, field]) => {
    const { description, $schema: _, ...rest } = inlineSchema(field as z.ZodType, 'input');
    const required = where === 'path' || !(field as z.ZodType).safeParse(undefined).success;
    return { name, in: where, required, ...(typeof description === 'string' ? { description } : {}), schema: rest };
  });
}

function headersOf(route: ApiRoute): JsonObject[] {
  return Object.entries(route.headers ?? {}).map(([name, description]) => ({ name, in: 'header', required: false, description, schema: { type: 'string' } }));
}

function bodyOf(body: NonNullable<ApiRoute['body']>): JsonObject {
  const schema = body.schema ? reference(body.schema) : {};
  const types = body.kind === 'documents' ? ['application/yaml', 'application/json'] : ['application/json'];
  return { required: true, description: `${body.description}. At most ${body.maxBytes / 1024 ** 2} MiB.`, content: Object.fromEntries(types.map((type) => [type, { schema }])) };
}

function responsesOf(route: ApiRoute): JsonObject {
  const responses: Record<string, Json> = {};
  for (const [status, answer] of Object.entries(route.answers)) {
    const type = answer.contentType ?? 'application/json';
    const content = answer.schema ? { [type]: { schema: reference(answer.schema) } } : answer.contentType ? { [type]: {} } : Number(status) === 304 ? undefined : { [type]: { schema: {} } };
    responses[status] = { description: answer.description, ...(content ? { content } : {}) };
  }
  const byStatus = Map.groupBy(route.problems ?? [], statusOfProblem);
  for (const [status, codes] of byStatus) responses[String(status)] = problemResponse(`${STATUS_CODES[status] ?? ''}: ${codes.map((code) => `\`${code}\``).join(', ')}`);
  responses['default'] = problemResponse('Any other error');
  return responses;
}

function problemResponse(description: string): JsonObject {
  return { description, content: { 'application/problem+json': { schema: reference(problemShape) } } };
}

/** Statuses of problem codes, from whoever makes them. */
export function statusOfProblem(code: string): number {
  if (Object.hasOwn(apiProblems, code)) return apiProblems[code as ApiProblemCode][0];
  if (Object.hasOwn(writeErrorStatus, code)) return writeErrorStatus[code as WriteErrorCode];
  return code === 'history-gone' ? 410 : 500;
}

function reference(schema: z.ZodType): JsonObject {
  const id = shapeRegistry.get(schema)?.id;
  if (id !== undefined) return { $ref: `#/components/schemas/${id}` };
  const { $schema: _, ...rest } = inlineSchema(schema, 'output');
  return rest;
}

function inlineSchema(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
  return z.toJSONSchema(schema, { io, unrepresentable: 'any', metadata: noNames, override: ({ zodSchema, jsonSchema }) => replaceNamed(zodSchema, jsonSchema, schema) }) as unknown as JsonObject;
}

/** Without names, so that nothing is put aside as a definition. */
const noNames = z.registry<{ description?: string }>();

/** A named shape inside another is a reference to its component. */
function replaceNamed(inner: z.core.$ZodType, json: Record<string, unknown>, outer: z.ZodType): void {
  const id = inner === outer ? undefined : shapeRegistry.get(inner as z.ZodType)?.id;
  if (id === undefined) return;
  for (const key of Object.keys(json)) delete json[key];
  json['$ref'] = `#/components/schemas/${id}`;
}

function componentSchemas(): JsonObject {
  const { schemas } = z.toJSONSchema(shapeRegistry, { io: 'output', unrepresentable: 'any', uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, schema]) => {
    const { $schema: _, $id: __, id: ___, ...rest } = schema as Record<string, unknown>;
    return [id, rest as JsonObject];
  }));
}
