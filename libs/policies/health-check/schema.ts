import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { headerName, headerValue } from '@remora/policy-kit/scalars';
import { z } from 'zod';

export const marksMax = 16;

/** `healthCheck` as authored: every field optional, levels are merged before `check` looks at the whole. */
export const healthCheckSchema = z.strictObject({
  /** A map keyed by name, so that levels add to each other. */
  marks: z.record(headerName(), headerValue()).optional(),
});

/** The section after merging. */
export interface EffectiveHealthCheck {
  readonly marks?: Readonly<Record<string, string>>;
}

export function checkHealthCheck(effective: JsonObject): Violation[] {
  const { marks = {} } = effective as EffectiveHealthCheck;
  const names = Object.keys(marks);
  const tooMany: Violation[] = names.length > marksMax ? [{ pointer: '/marks', code: 'too-many', message: `${names.length} marks, at most ${marksMax} are accepted` }] : [];
  const foreign = names.filter((name) => !name.toLowerCase().startsWith('x-'));
  return [...tooMany, ...foreign.map((name) => ({ pointer: joinPointer('/marks', name), code: 'invalid-value', message: `${name} does not start with x-` }))];
}
