import type { JsonObject } from '@remora/core/canonical-json';
import { parseRatio } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { ratio, size } from '@remora/policy-kit/scalars';
import { z } from 'zod';

/** `mirror` as authored. */
export const mirrorSchema = z.strictObject({
  to: z.strictObject({
    service: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, { error: () => 'must be the name of a service' }).optional(),
    port: z.string().max(63).optional(),
    labels: z.record(z.string().min(1).max(63), z.string().max(253)).optional(),
  }).optional(),
  ratio: ratio().optional(),
  bodyMax: size({ max: 8 * 1024 * 1024 }).optional(),
  outstanding: z.int().min(1).max(10_000).optional(),
});

export const mirrorDefaults: JsonObject = { ratio: '100%', bodyMax: '64KiB', outstanding: 100 };

export interface EffectiveMirror {
  readonly to?: { readonly service?: string; readonly port?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly ratio: string | number;
  readonly bodyMax: string;
  readonly outstanding: number;
}

export function checkMirror(effective: JsonObject): Violation[] {
  const { to, ratio: share } = effective as unknown as EffectiveMirror;
  const violations: Violation[] = [];
  if (to?.service === undefined) violations.push({ pointer: '/to/service', code: 'missing-field', message: 'a mirror needs a service that gets the copies', expected: 'the name of a service' });
  if (parseRatio(share) === 0) violations.push({ pointer: '/ratio', code: 'contradiction', message: 'a ratio of 0 mirrors nothing', expected: 'a ratio above 0, or enabled: false' });
  return violations;
}
