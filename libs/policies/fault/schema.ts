import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { entryMatchSchema } from '@remora/policy-kit/entry-match-schema';
import { duration, entryName, ratio, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';

export const faultsMax = 32;
export const delayMaxMs = 60_000;

const entrySchema = z.strictObject({
  until: instant().optional(),
  delay: z.strictObject({ duration: duration({ min: 1, max: delayMaxMs }).optional(), ratio: ratio().optional() }).optional(),
  abort: z.strictObject({ status: z.int().min(400).max(599).optional(), ratio: ratio().optional() }).optional(),
  match: entryMatchSchema({ callers: true }).optional(),
});

/** `fault` as authored. */
export const faultSchema = z.strictObject({ faults: z.record(entryName(), entrySchema).optional() });

export type EffectiveFaultEntry = z.output<typeof entrySchema>;

export interface EffectiveFault {
  readonly faults?: Readonly<Record<string, EffectiveFaultEntry>>;
}

/** RFC 3339 with an offset: `2026-11-22T18:00:00Z`. */
function instant(): z.ZodString {
  const expected = 'a time such as 2026-11-22T18:00:00Z';
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (parseInstant(text) !== null) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 40))} is not a time`, params: { code: 'invalid-time', expected } satisfies IssueParams });
  }).meta({ description: expected, format: 'date-time' });
}

/** Unix milliseconds of an RFC 3339 time, null where the text is none. */
export function parseInstant(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(text)) return null;
  const ms = Date.parse(text);
  if (!Number.isFinite(ms)) return null;
  const day = Number(text.slice(8, 10));
  // Date.parse takes 31 February for 3 March.
  return new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)) - 1, day)).getUTCDate() === day ? ms : null;
}

/** A fault that never ends, or does nothing, is a mistake. */
export function checkFault(effective: JsonObject): Violation[] {
  const { faults = {} } = effective as unknown as EffectiveFault;
  const entries = Object.entries(faults);
  const tooMany: Violation[] = entries.length > faultsMax ? [{ pointer: '/faults', code: 'too-many', message: `${entries.length} faults, at most ${faultsMax} are accepted` }] : [];
  return [...tooMany, ...entries.flatMap(([name, entry]) => checkEntry(`/faults/${name}`, entry))];
}

function checkEntry(pointer: string, entry: EffectiveFaultEntry): Violation[] {
  const violations: Violation[] = [];
  if (entry.until === undefined) {
    violations.push({ pointer: `${pointer}/until`, code: 'missing-field', message: 'a fault needs an end, which holds even where the control plane is gone', expected: 'a time such as 2026-11-22T18:00:00Z' });
  }
  if (entry.delay === undefined && entry.abort === undefined) violations.push({ pointer, code: 'missing-field', message: 'a fault needs delay or abort', expected: '{delay: {duration: 2s}} or {abort: {status: 503}}' });
  if (entry.delay !== undefined && entry.delay.duration === undefined) violations.push({ pointer: `${pointer}/delay/duration`, code: 'missing-field', message: 'a delay needs a duration', expected: 'a duration such as 2s' });
  if (entry.abort !== undefined && entry.abort.status === undefined) violations.push({ pointer: `${pointer}/abort/status`, code: 'missing-field', message: 'an abort needs a status', expected: 'a status from 400 to 599' });
  return violations;
}
