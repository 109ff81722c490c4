import type { z } from 'zod';

/** Adds what is wrong with a stable code; `path` is relative to the value that is being checked. */
export function issue(context: z.RefinementCtx, code: string, message: string, expected?: string, path: readonly (string | number)[] = []): void {
  context.addIssue({ code: 'custom', message, path: [...path], params: expected === undefined ? { code } : { code, expected } });
}
