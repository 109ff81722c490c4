import { z } from 'zod';
import { entryMatchMax, type EntryMatchMessage } from './entry-match.ts';
import { headerName, method, notAvailable, type IssueParams } from './scalars.ts';

/** `match` of a named entry as authored: `{methods: [POST], paths: [/orders/*], headers: {x-tenant: {exact: a}}}`. */
export function entryMatchSchema() {
  return z.strictObject({
    methods: z.array(method()).min(1).max(entryMatchMax.methods).optional(),
    paths: z.array(pathPattern()).min(1).max(entryMatchMax.paths).optional(),
    headers: z.record(headerName(), headerCondition()).optional(),
    callers: notAvailable('telling callers apart').optional(),
    consumers: notAvailable('telling consumers apart').optional(),
  });
}

export type AuthoredEntryMatch = z.output<ReturnType<typeof entryMatchSchema>>;

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
export function compileEntryMatch(match: AuthoredEntryMatch | undefined): EntryMatchMessage | undefined {
  if (match === undefined) return undefined;
  const headers = Object.entries(match.headers ?? {}).map(([name, condition]) => {
    const [mode, value] = Object.entries(condition)[0] ?? ['present', true];
    return { name: name.toLowerCase(), mode, value: typeof value === 'string' ? value : '' };
  });
  return {
    methods: [...match.methods ?? []].sort(),
    paths: [...match.paths ?? []].sort(),
    headers: headers.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
