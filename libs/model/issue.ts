import type { z } from 'zod';

/** Adds what is wrong with a stable code; `path` is relative to the value that is being checked. */
export function issue(context: z.RefinementCtx, code: string, message: string, expected?: string, path: readonly (string | number)[] = [], suggestion?: string): void {
  context.addIssue({ code: 'custom', message, path: [...path], params: { code, ...(expected === undefined ? {} : { expected }), ...(suggestion === undefined ? {} : { suggestion }) } });
}

/**
 * Parameters of a check over several fields: it runs whenever these are right by themselves, whatever is wrong elsewhere, so that
 * all violations are told at once.
 */
export function acrossFields(...fields: readonly string[]): { when: (payload: z.core.ParsePayload) => boolean } {
  return {
    when: ({ value, issues }) => value !== null && typeof value === 'object'
      && !issues.some(({ path, code }) => breaksTypes.has(code) && (path === undefined || path.length === 0 || fields.includes(String(path[0])))),
  };
}

/** After these a value may not have the type that a check relies on. */
const breaksTypes: ReadonlySet<string> = new Set(['invalid_type', 'invalid_union', 'invalid_value']);
