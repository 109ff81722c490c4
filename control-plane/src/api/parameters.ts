import { suggest } from '@remora/core/suggest';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { z } from 'zod';
import { ApiError } from './problem.ts';

/** Reads path parameters or the query. All that is wrong at once; unknown names are errors with the nearest known one. */
export function readParameters<T extends z.ZodObject>(schema: T | undefined, raw: Readonly<Record<string, unknown>>, where: 'path' | 'query'): z.output<T> {
  const violations: Violation[] = [];
  const shape: Readonly<Record<string, z.core.$ZodType>> = schema?.shape ?? {};
  for (const name of Object.keys(raw)) {
    if (Object.hasOwn(shape, name)) continue;
    const near = suggest(name, Object.keys(shape));
    violations.push({ document: where, pointer: `/${name}`, code: 'unknown-parameter', message: `there is no parameter ${name} here`, ...(near ? { suggestion: near } : {}) });
  }
  const known = Object.fromEntries(Object.entries(raw).filter(([name]) => Object.hasOwn(shape, name)));
  const result = (schema ?? z.object({})).safeParse(known);
  for (const issue of result.error?.issues ?? []) {
    violations.push({ document: where, pointer: `/${issue.path.join('/')}`, code: 'bad-parameter', message: issue.message });
  }
  if (violations.length > 0 || !result.success) {
    throw new ApiError('bad-parameter', violations.map(({ pointer, message }) => `${pointer.slice(1)}: ${message}`).join('; '), { violations });
  }
  return result.data as z.output<T>;
}

/** `?dryRun`, `?dryRun=true`, `?dryRun=false`. */
export const flagParameter = z.enum(['', 'true', 'false'], { error: 'expected true or false' }).transform((text) => text !== 'false').default(false);

export function limitParameter(max: number, standard: number) {
  return wholeNumber(1, max).default(standard).describe(`At most ${max}`);
}

/** Decimal digits only: no signs, spaces, exponents or other bases. */
export function wholeNumber(min: number, max: number) {
  return z.string().regex(/^\d{1,15}$/, { error: `expected a whole number from ${min} to ${max}` }).transform(Number)
    .refine((value) => value >= min && value <= max, { error: `expected a whole number from ${min} to ${max}` });
}

export function durationParameter(max: { readonly ms: number; readonly text: string }) {
  return z.string().transform((text, context) => {
    const ms = parseDurationMs(text);
    if (ms !== null && ms <= max.ms) return ms;
    context.addIssue({ code: 'custom', message: `expected a duration up to ${max.text}, such as 500ms or 10s` });
    return z.NEVER;
  });
}

/** `a,b` and repeated parameters alike; empty items are dropped. */
export const listParameter = z.union([z.string(), z.array(z.string())])
  .transform((given) => (Array.isArray(given) ? given : [given]).flatMap((text) => text.split(',')).map((item) => item.trim()).filter((item) => item !== ''))
  .default([]);

/** Names of documents, owner sets and nodes, as far as the API must bound them; what a valid name is, the model says. */
export const nameParameter = z.string().min(1).max(253);

/** Path parameter of a revision. */
export const revisionNumber = wholeNumber(0, Number.MAX_SAFE_INTEGER);
