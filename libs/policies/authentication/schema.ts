import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import type { BesideSection } from '@remora/policy-kit/authoring-kind';
import { entryMatchSchema, type AuthoredEntryMatch } from '@remora/policy-kit/entry-match-schema';
import { credentialKinds } from '@remora/policy-kit/request-identity';
import { entryName, oneOf, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { exemptionsMax } from './wire.ts';

const kinds = z.array(oneOf(credentialKinds)).min(1).max(credentialKinds.length);

/** `authentication` as authored. */
export const authenticationSchema = z.strictObject({
  require: z.union([z.strictObject({ any: kinds }), z.strictObject({ all: kinds })], {
    error: () => `must be {any: [...]} or {all: [...]} with kinds of ${credentialKinds.join(', ')}`,
  }).optional(),
  exempt: z.record(entryName(), entryMatchSchema({ callers: true })).optional(),
  unmapped: oneOf(['allow', 'refuse']).optional(),
  anonymous: consumerName().optional(),
});

/** The section after merging: what `compile` gets. */
export interface EffectiveAuthentication {
  readonly require?: { readonly any: readonly string[] } | { readonly all: readonly string[] };
  readonly exempt?: Readonly<Record<string, AuthoredEntryMatch>>;
  readonly unmapped?: string;
  readonly anonymous?: string;
}

export const authenticationDefaults: JsonObject = { unmapped: 'allow' };

/** Name of a Consumer document. */
function consumerName(): z.ZodString {
  const expected = 'the name of a Consumer: lower-case letters, digits and -, at most 63 characters';
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is not the name of a Consumer`, params: { code: 'invalid-name', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** An exemption of everything is no exemption, but the end of authentication. */
export function checkAuthentication(effective: JsonObject): Violation[] {
  const { exempt = {} } = effective as unknown as EffectiveAuthentication;
  const entries = Object.entries(exempt);
  const found: Violation[] = entries.length > exemptionsMax ? [{ pointer: '/exempt', code: 'too-many', message: `${entries.length} exemptions, at most ${exemptionsMax} are accepted` }] : [];
  for (const [name, match] of entries) {
    if (conditionsOf(match) > 0) continue;
    found.push({
      pointer: joinPointer('/exempt', name), code: 'missing-field', message: 'an exemption without a condition would let everybody in: authentication is switched off by enabled: false',
      expected: 'methods, paths, headers or callers',
    });
  }
  return found;
}

function conditionsOf({ methods, paths, headers, callers }: AuthoredEntryMatch): number {
  return (methods?.length ?? 0) + (callers?.length ?? 0) + (paths?.length ?? 0) + Object.keys(headers ?? {}).length;
}

/** Kinds of credentials that are asked for by name. */
export function requiredKinds(effective: JsonObject): readonly string[] {
  const { require } = effective as unknown as EffectiveAuthentication;
  return require === undefined ? [] : 'any' in require ? require.any : require.all;
}

/** What is required must be looked for; and who asks for authentication at one place must say by what. */
export function checkAmong(effective: JsonObject, { inEffect, narrow }: BesideSection): Violation[] {
  const { require } = effective as unknown as EffectiveAuthentication;
  if (require === undefined) {
    if (inEffect.length > 0 || !narrow) return [];
    return [{
      pointer: '', code: 'nothing-to-require', message: 'no kind that finds credentials is enforced here, so that nobody could ever be authenticated',
      expected: `one of the sections ${credentialKinds.filter((kind) => kind !== 'mesh').join(', ')}, or require: {any: [mesh]}`,
    }];
  }
  const field = 'any' in require ? 'any' : 'all';
  return requiredKinds(effective).flatMap((kind, at): Violation[] => (kind === 'mesh' || inEffect.includes(kind) ? [] : [{
    pointer: `/require/${field}/${at}`, code: 'not-in-effect', message: `${kind} is required, and is not enforced here: nobody could ever show it`,
    expected: inEffect.length === 0 ? 'mesh' : `one of ${[...inEffect, 'mesh'].join(', ')}`,
  }]));
}
