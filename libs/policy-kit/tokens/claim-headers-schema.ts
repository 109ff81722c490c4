import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { z } from 'zod';
import { headerName, type IssueParams } from '../scalars.ts';
import { claimHeadersMax, gatewayHeaders, type ClaimHeader } from './claim-headers.ts';
import { hasControl } from './control-characters.ts';
import type { AuthoredTokenPlace } from './token-place-schema.ts';

/** `claimsToHeaders` as authored: `{X-User-Id: sub, X-Roles: realm_access.roles}`. */
export function claimHeadersSchema() {
  return z.record(headerName(), claimName());
}

/** Name of a claim; dots lead into objects. */
export function claimName(): z.ZodString {
  const expected = 'the name of a claim, such as sub or realm_access.roles';
  return z.string({ error: () => `must be ${expected}` }).superRefine((value, context) => {
    if (value.length > 0 && value.length <= 256 && !hasControl(value)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(value.slice(0, 80))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** What cannot work about headers from claims, beside the places where tokens stand. */
export function checkClaimHeaders(claimsToHeaders: Readonly<Record<string, string>>, tokenFrom: readonly AuthoredTokenPlace[]): Violation[] {
  const names = Object.keys(claimsToHeaders);
  const found: Violation[] = names.length > claimHeadersMax ? [{ pointer: '/claimsToHeaders', code: 'too-many', message: `${names.length} headers, at most ${claimHeadersMax} are accepted` }] : [];
  const seen = new Set<string>();
  for (const name of names) {
    const pointer = joinPointer('/claimsToHeaders', name);
    const plain = name.toLowerCase().replaceAll(/[._]/g, '-');
    if (gatewayHeaders.has(plain) || plain.startsWith('x-remora-')) found.push({ pointer, code: 'invalid-value', message: `${name} is not for claims: it frames, routes or authenticates` });
    if (seen.has(plain)) found.push({ pointer, code: 'duplicate', message: `${name} is another spelling of a header that is there already` });
    seen.add(plain);
  }
  const taken = new Set(names.map((name) => name.toLowerCase()));
  return [...found, ...tokenFrom.flatMap((place, i): Violation[] => {
    if (!('header' in place) || !taken.has(place.header.toLowerCase())) return [];
    return [{ pointer: `/tokenFrom/${i}/header`, code: 'contradiction', message: `${place.header.toLowerCase()} is set from a claim, and removed from what clients send` }];
  })];
}

/** The wire form, sorted. */
export function compileClaimHeaders(claimsToHeaders: Readonly<Record<string, string>>): ClaimHeader[] {
  return Object.entries(claimsToHeaders).map(([header, claim]) => ({ header: header.toLowerCase(), claim })).sort((a, b) => (a.header < b.header ? -1 : 1));
}
