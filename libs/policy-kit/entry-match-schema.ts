import { z } from 'zod';
import { callerProblem } from './caller-pattern.ts';
import { entryMatchMax, type EntryMatchMessage } from './entry-match.ts';
import { headerName, method, type IssueParams } from './scalars.ts';

/** What a kind knows of who asks, at the place where its entries are looked at. */
export interface EntryMatchPlace {
  readonly callers?: boolean;
  readonly consumers?: boolean;
}

/** `match` of a named entry as authored: `{methods: [POST], paths: [/orders/*], headers: {x-tenant: {exact: a}}}`. */
export function entryMatchSchema({ callers = false, consumers = false }: EntryMatchPlace = {}) {
  return z.strictObject({
    methods: z.array(method()).min(1).max(entryMatchMax.methods).optional(),
    paths: z.array(pathPattern()).min(1).max(entryMatchMax.paths).optional(),
    headers: z.record(headerName(), headerCondition()).optional(),
    callers: (callers ? z.array(named(callerExpected, 'invalid-caller', callerProblem)).min(1).max(entryMatchMax.callers) : tooEarly('callers')).optional(),
    consumers: (consumers ? z.array(named(consumerExpected, 'invalid-name', consumerProblem)).min(1).max(entryMatchMax.consumers) : tooEarly('consumers')).optional(),
  });
}

export type AuthoredEntryMatch = z.output<ReturnType<typeof entryMatchSchema>>;

const callerExpected = 'a SPIFFE id such as spiffe://shop.example/service/web, the name of a service, one of them that ends with /*, or *';
const consumerExpected = 'the name of a Consumer, or *';

function consumerProblem(text: string): string | null {
  return /^(?:\*|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)$/.test(text) ? null : 'is not the name of a Consumer';
}

function named(expected: string, code: string, problemOf: (text: string) => string | null): z.ZodString {
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    const problem = problemOf(text);
    if (problem !== null) context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} ${problem}`, params: { code, expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** Never silence: an entry that could not see who asks would be about nobody, or everybody. */
function tooEarly(what: string): z.ZodType<string[]> {
  const refused: z.ZodType = z.unknown().superRefine((_value, context) => {
    context.addIssue({ code: 'custom', message: `${what} are not known yet where these entries are looked at`, params: { code: 'not-available' } satisfies IssueParams });
  });
  return refused as z.ZodType<string[]>;
}

/** `/orders/1` or `/orders/*`. */
function pathPattern(): z.ZodString {
  const expected = 'a path such as /orders, or /orders/* for everything below it';
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    const stem = text.endsWith('/*') ? text.slice(0, -2) : text;
    const fine = text.startsWith('/') && text.length <= 1024 && !/[*?#\s]/.test(stem);
    if (!fine) context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is not such a path`, params: { code: 'invalid-path', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** Exactly one of the four forms. */
function headerCondition() {
  const text = z.string().max(4096);
  return z.union([
    z.strictObject({ exact: text }), z.strictObject({ prefix: text.min(1) }), z.strictObject({ present: z.literal(true) }), z.strictObject({ absent: z.literal(true) }),
  ], { error: () => 'must be one of {exact: text}, {prefix: text}, {present: true}, {absent: true}' });
}

/** The wire form, sorted; undefined where nothing is asked. */
export function compileEntryMatch(match: AuthoredEntryMatch | undefined): Required<EntryMatchMessage> | undefined {
  if (match === undefined) return undefined;
  const headers = Object.entries(match.headers ?? {}).map(([name, condition]) => {
    const [mode, value] = Object.entries(condition)[0] ?? ['present', true];
    return { name: name.toLowerCase(), mode, value: typeof value === 'string' ? value : '' };
  });
  return {
    methods: [...match.methods ?? []].sort(),
    paths: [...match.paths ?? []].sort(),
    headers: headers.sort((a, b) => (a.name < b.name ? -1 : 1)),
    callers: [...new Set(match.callers)].sort(),
    consumers: [...new Set(match.consumers)].sort(),
  };
}
