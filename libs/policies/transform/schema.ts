import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { headerName, headerValue, notAvailable, oneOf } from '@remora/policy-kit/scalars';
import { templateViolation, type TemplateScope } from '@remora/policy-kit/template';
import { z } from 'zod';
import { protectionOf } from './protected-headers.ts';

/** Edits of one sort in one message. */
export const editsMax = 64;

const parameterName = z.string().min(1).max(128).meta({ description: 'a query parameter, decoded, at most 128 characters' });
const parameterValue = z.string().max(4096);
const removal = z.literal(true, { error: () => 'must be true' });

const headerEditsSchema = z.strictObject({
  remove: z.record(headerName(), removal).optional(),
  rename: z.record(headerName(), headerName()).optional(),
  set: z.record(headerName(), headerValue()).optional(),
  add: z.record(headerName(), headerValue()).optional(),
  append: z.record(headerName(), headerValue()).optional(),
  dedupe: z.record(headerName(), oneOf(['first', 'last', 'unique'])).optional(),
});

const queryEditsSchema = z.strictObject({
  remove: z.record(parameterName, removal).optional(),
  rename: z.record(parameterName, parameterName).optional(),
  set: z.record(parameterName, parameterValue).optional(),
  add: z.record(parameterName, parameterValue).optional(),
});

/** `transform` as authored: every edit is an entry of a map, so that levels add to each other and `null` takes one away. */
export const transformSchema = z.strictObject({
  request: z.strictObject({
    headers: headerEditsSchema.optional(),
    query: queryEditsSchema.optional(),
    json: notAvailable('changing JSON bodies').optional(),
  }).optional(),
  response: z.strictObject({
    headers: headerEditsSchema.optional(),
    json: notAvailable('changing JSON bodies').optional(),
    status: notAvailable('changing the status').optional(),
  }).optional(),
});

export type EffectiveTransform = z.output<typeof transformSchema>;
export type HeaderEditsSection = z.output<typeof headerEditsSchema>;
export type QueryEditsSection = z.output<typeof queryEditsSchema>;

export function checkTransform(effective: JsonObject): Violation[] {
  const { request, response } = effective as EffectiveTransform;
  return [
    ...checkHeaders('/request/headers', request?.headers ?? {}, 'request'),
    ...checkQuery('/request/query', request?.query ?? {}),
    ...checkHeaders('/response/headers', response?.headers ?? {}, 'response'),
  ];
}

function checkHeaders(pointer: string, edits: HeaderEditsSection, scope: TemplateScope): Violation[] {
  return Object.entries(edits).flatMap(([operation, entries = {}]) => {
    const at = `${pointer}/${operation}`;
    const named = Object.entries(entries);
    return [
      ...countViolations(at, named.length),
      ...duplicates(at, named.map(([name]) => name)),
      ...named.flatMap(([name]) => protection(joinPointer(at, name), name)),
      ...named.flatMap(([name, value]) => (operation === 'rename' ? protection(joinPointer(at, name), String(value)) : [])),
      ...named.flatMap(([name, value]) => (templated.has(operation) ? templates(joinPointer(at, name), String(value), scope) : [])),
    ];
  });
}

const templated: ReadonlySet<string> = new Set(['set', 'add', 'append']);

function checkQuery(pointer: string, edits: QueryEditsSection): Violation[] {
  return Object.entries(edits).flatMap(([operation, entries = {}]) => {
    const at = `${pointer}/${operation}`;
    const named = Object.entries(entries);
    return [
      ...countViolations(at, named.length),
      ...named.flatMap(([name, value]) => (templated.has(operation) ? templates(joinPointer(at, name), String(value), 'request') : [])),
    ];
  });
}

function countViolations(pointer: string, count: number): Violation[] {
  return count > editsMax ? [{ pointer, code: 'too-many', message: `${count} edits, at most ${editsMax} are accepted` }] : [];
}

function templates(pointer: string, text: string, scope: TemplateScope): Violation[] {
  const violation = templateViolation(pointer, text, scope);
  return violation === null ? [] : [violation];
}

function protection(pointer: string, name: string): Violation[] {
  const why = protectionOf(name.toLowerCase());
  return why === null ? [] : [{ pointer, code: 'protected-header', message: why }];
}

/** Header names are the same in any case; which of two spellings would win could not be told. */
function duplicates(pointer: string, names: readonly string[]): Violation[] {
  const seen = new Map<string, string>();
  return names.flatMap((name) => {
    const before = seen.get(name.toLowerCase());
    seen.set(name.toLowerCase(), name);
    return before === undefined ? [] : [{ pointer: joinPointer(pointer, name), code: 'duplicate', message: `${name} and ${before} are the same header` }];
  });
}
