import { z } from 'zod';
import { headerName, type IssueParams } from '../scalars.ts';
import { tokenPlacesMax, type TokenPlace } from './token-place.ts';

/** `tokenFrom` as authored: `[{header: authorization, scheme: Bearer}, {query: access_token}, {cookie: session}]`. */
export function tokenPlacesSchema() {
  return z.array(z.union([
    z.strictObject({ header: headerName(), scheme: z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,31}$/).optional() }),
    z.strictObject({ query: placeName() }),
    z.strictObject({ cookie: placeName() }),
  ], { error: () => 'must be {header: name, scheme: Bearer}, {query: name} or {cookie: name}' })).min(1).max(tokenPlacesMax);
}

export type AuthoredTokenPlace = z.output<ReturnType<typeof tokenPlacesSchema>>[number];

/** The wire form. */
export function compileTokenPlace(place: AuthoredTokenPlace): TokenPlace {
  if ('header' in place) return { kind: 'header', name: place.header.toLowerCase(), scheme: place.scheme ?? '' };
  return 'query' in place ? { kind: 'query', name: place.query, scheme: '' } : { kind: 'cookie', name: place.cookie, scheme: '' };
}

function placeName(): z.ZodString {
  const expected = 'a name without spaces, at most 64 characters';
  return z.string({ error: () => `must be ${expected}` }).superRefine((value, context) => {
    if (/^[A-Za-z0-9_.-]{1,64}$/.test(value)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(value.slice(0, 80))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}
