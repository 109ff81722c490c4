import { headerName, method, notAvailable } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { hasControlCharacters } from './control-characters.ts';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { boundedRecord, hostPattern } from './names.ts';
import { pathProblem, pathVariables } from './path-syntax.ts';

const limits = documentLimits;

/** `checkRegex` of the router: null where the pattern is accepted by the linear-time engine within its bounds. */
export type RegexCheck = (pattern: string) => string | null;

/** Conditions of a Route. All must hold; what is absent matches everything. */
export function createMatchSchema(checkRegex: RegexCheck) {
  const regex = z.string().min(1).superRefine((pattern, context) => {
    const problem = pattern.length > limits.regexLength ? `is longer than ${limits.regexLength} characters` : checkRegex(pattern);
    if (problem !== null) issue(context, 'invalid-regex', problem, 'a regular expression in RE2 syntax');
  });
  const path = createPathSchema(regex);
  const value = createValueSchema(regex);
  const name = z.string().min(1).max(256).refine((text) => !hasControlCharacters(text), 'must not have control characters');
  return z.strictObject({
    hosts: z.array(hostPattern()).min(1).max(limits.hosts).optional(),
    path: path.optional(),
    methods: z.array(method()).min(1).max(64).optional(),
    headers: boundedRecord(headerName(), value, { min: 1, max: limits.conditions, what: 'headers' }).superRefine(distinctHeaders).optional(),
    query: boundedRecord(name, value, { min: 1, max: limits.conditions, what: 'query parameters' }).optional(),
    cookies: boundedRecord(headerName(), value, { min: 1, max: limits.conditions, what: 'cookies' }).optional(),
    version: versionSchema.optional(),
    grpc: z.strictObject({
      service: z.string().regex(/^[A-Za-z_][A-Za-z0-9_.]{0,255}$/, 'must be a full service name such as shop.orders.v1.Orders'),
      method: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be a method name').optional(),
    }).optional(),
    body: notAvailable('matching on a field of the body').optional(),
  }).superRefine((match, context) => {
    for (const [field, list] of [['hosts', match.hosts], ['methods', match.methods]] as const) {
      for (const [i, item] of (list ?? []).entries()) {
        if ((list ?? []).findIndex((other) => other.toLowerCase() === item.toLowerCase()) < i) issue(context, 'duplicate', `${item} is listed twice`, undefined, [field, i]);
      }
    }
  }, acrossFields('hosts', 'methods'));
}

function createPathSchema(regex: z.ZodString) {
  const written = (kind: 'exact' | 'prefix' | 'template') => z.string().superRefine((text, context) => {
    const problem = pathProblem(text, kind);
    if (problem !== null) issue(context, 'invalid-path', problem, pathExamples[kind]);
  });
  return z.strictObject({
    exact: written('exact').optional(),
    prefix: written('prefix').optional().meta({ description: 'on segment borders' }),
    template: written('template').optional().meta({ description: 'such as /v1/{tenant}/orders/{id}; a last {rest*} takes what remains' }),
    regex: regex.optional().meta({ description: 'RE2 syntax, on the whole path' }),
  }).superRefine((path, context) => oneField(path, ['exact', 'prefix', 'template', 'regex'], context));
}

const pathExamples = { exact: '/orders/open', prefix: '/api/orders', template: '/v1/{tenant}/orders/{id}' } as const;

function createValueSchema(regex: z.ZodString) {
  const text = z.string().max(limits.valueLength).refine((value) => !hasControlCharacters(value, 'tabs'), 'must not have control characters');
  return z.strictObject({
    exact: text.optional(),
    prefix: text.min(1).optional(),
    regex: regex.optional().meta({ description: 'RE2 syntax, on the whole value' }),
    present: z.literal(true).optional(),
    absent: z.literal(true).optional(),
    invert: z.boolean().optional().meta({ description: 'negates exact, prefix or regex' }),
  }).superRefine((value, context) => {
    oneField(value, ['exact', 'prefix', 'regex', 'present', 'absent'], context);
    if (value.invert === true && (value.present ?? value.absent) === true) issue(context, 'exclusive', 'write absent instead of present with invert, or present instead of absent', undefined, ['invert']);
  });
}

const versionSchema = z.strictObject({
  value: z.string().min(1).max(64),
  header: headerName().optional(),
  query: z.string().min(1).max(256).optional(),
  pathSegment: z.int().min(0).max(31).optional().meta({ description: 'number of the segment, from 0' }),
  mediaTypeParameter: z.string().min(1).max(64).optional().meta({ description: 'parameter of the Accept media type' }),
}).superRefine((version, context) => oneField(version, ['header', 'query', 'pathSegment', 'mediaTypeParameter'], context));

/** Exactly one of the fields is given. */
export function oneField(value: Readonly<Record<string, unknown>>, fields: readonly string[], context: z.RefinementCtx): void {
  const given = fields.filter((field) => value[field] !== undefined);
  if (given.length !== 1) issue(context, 'exclusive', given.length === 0 ? 'says nothing to match' : `has ${given.join(' and ')}`, `exactly one of ${fields.join(', ')}`);
}

function distinctHeaders(headers: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  const seen = new Set<string>();
  for (const name of Object.keys(headers)) {
    if (seen.has(name.toLowerCase())) issue(context, 'duplicate', `${name} is given twice in different case`, undefined, [name]);
    seen.add(name.toLowerCase());
  }
}

/** Names that a match gives to parts of the path: `{id}` of templates, `(?<id>…)` of regular expressions. */
export function matchVariables(match: MatchDocument | undefined): readonly string[] {
  return match?.path === undefined ? [] : pathVariables(match.path);
}

export type MatchDocument = z.infer<ReturnType<typeof createMatchSchema>>;
