import type { JsonObject } from '@remora/core/canonical-json';
import { parseRatio } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { entryMatchSchema } from '@remora/policy-kit/entry-match-schema';
import { duration, entryName, oneOf, ratio } from '@remora/policy-kit/scalars';
import { z } from 'zod';

export const prioritiesMax = 16;
const limitMost = 100_000;

const prioritySchema = z.strictObject({
  share: ratio().optional(),
  match: entryMatchSchema({ callers: true, consumers: true }).optional(),
});

/** `concurrency` as authored. */
export const concurrencySchema = z.strictObject({
  mode: oneOf(['adaptive', 'fixed']).optional(),
  limit: z.int().min(1).max(limitMost).optional(),
  minLimit: z.int().min(1).max(limitMost).optional(),
  maxLimit: z.int().min(1).max(limitMost).optional(),
  tolerance: ratio({ max: 1 }).optional(),
  probe: z.strictObject({ every: duration({ min: 1000, max: 3_600_000 }).optional(), jitter: ratio().optional() }).optional(),
  priorities: z.record(entryName(), prioritySchema).optional(),
});

export const concurrencyDefaults: JsonObject = {
  mode: 'adaptive', limit: 20, minLimit: 3, maxLimit: 1000, tolerance: '25%', probe: { every: '30s', jitter: '15%' },
};

type Authored = z.output<typeof concurrencySchema>;
export type AuthoredPriority = z.output<typeof prioritySchema>;
type Filled<T> = { readonly [F in keyof T]-?: NonNullable<T[F]> };

/** The section with its defaults. */
export type EffectiveConcurrency = Filled<Omit<Authored, 'priorities' | 'probe'>> & { readonly probe: Filled<NonNullable<Authored['probe']>>; readonly priorities?: Readonly<Record<string, AuthoredPriority>> };

export function checkConcurrency(effective: JsonObject): Violation[] {
  const settings = effective as unknown as EffectiveConcurrency;
  return [...checkLimits(settings), ...checkPriorities(settings.priorities ?? {})];
}

function checkLimits({ mode, limit, minLimit, maxLimit }: EffectiveConcurrency): Violation[] {
  if (mode === 'fixed') return [];
  if (maxLimit < minLimit) return [{ pointer: '/maxLimit', code: 'contradiction', message: `maxLimit (${maxLimit}) is below minLimit (${minLimit})`, expected: `at least ${minLimit}` }];
  if (limit >= minLimit && limit <= maxLimit) return [];
  return [{ pointer: '/limit', code: 'contradiction', message: `it begins at ${limit}, which is not from minLimit to maxLimit`, expected: `from ${minLimit} to ${maxLimit}` }];
}

function checkPriorities(priorities: Readonly<Record<string, AuthoredPriority>>): Violation[] {
  const names = Object.keys(priorities);
  const violations: Violation[] = names.length > prioritiesMax ? [{ pointer: '/priorities', code: 'too-many', message: `${names.length} priorities, at most ${prioritiesMax} are accepted` }] : [];
  for (const name of names) {
    const { share, match } = priorities[name] as AuthoredPriority;
    if (share === undefined) violations.push({ pointer: `/priorities/${name}/share`, code: 'missing-field', message: 'a priority needs its share of the limit', expected: 'a ratio such as 50%' });
    else if (parseRatio(share) === 0) violations.push({ pointer: `/priorities/${name}/share`, code: 'contradiction', message: 'none of these requests could ever run', expected: 'a ratio above 0' });
    if (match === undefined) violations.push({ pointer: `/priorities/${name}/match`, code: 'missing-field', message: 'without a match it would be about every request: that is what maxLimit is for', expected: 'methods, paths, headers, callers or consumers' });
  }
  return violations;
}
