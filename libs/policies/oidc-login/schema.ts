import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { duration, oneOf, type IssueParams } from '@remora/policy-kit/scalars';
import { hasControl } from '@remora/policy-kit/tokens/control-characters';
import { z } from 'zod';
import { oidcLoginMax } from './wire.ts';

/** `oidcLogin` as authored. */
export const oidcLoginSchema = z.strictObject({
  issuer: text(2048, 'the address of an issuer such as https://login.example').optional(),
  allowPrivateAddresses: z.boolean().optional(),
  clientId: text(256, 'the name under which the issuer knows this client').optional(),
  clientSecret: secret().optional(),
  sessionKey: secret().optional(),
  formerSessionKey: secret().optional(),
  scopes: z.array(checked('a scope', (value) => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(value))).min(1).max(oidcLoginMax.scopes).optional(),
  callbackPath: ownPath().optional(),
  logoutPath: ownPath().optional(),
  cookie: z.strictObject({
    name: checked('the name of a cookie', (value) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(value)).optional(),
    domain: checked('a domain', (value) => /^(?=.{1,253}$)[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(value)).optional(),
    lifetime: duration({ min: 60_000, max: 30 * 86_400_000 }).optional(),
  }).optional(),
  claims: z.array(text(256, 'the name of a claim')).max(oidcLoginMax.claims).optional(),
  browsers: oneOf(['redirect', 'refuse']).optional(),
  deadline: duration({ min: 50, max: 10_000 }).optional(),
});

export const oidcLoginDefaults: JsonObject = {
  allowPrivateAddresses: false, scopes: ['openid'], callbackPath: '/.remora/callback', logoutPath: '/.remora/logout', cookie: { name: '__Host-remora', lifetime: '8h' },
  claims: ['email', 'name', 'preferred_username'], browsers: 'redirect', deadline: '3s',
};

export type EffectiveOidcLogin = z.output<typeof oidcLoginSchema>;

/** What a section says that cannot work. */
export function checkOidcLogin(effective: JsonObject): Violation[] {
  const section: EffectiveOidcLogin = effective;
  const found: Violation[] = (['issuer', 'clientId', 'clientSecret', 'sessionKey'] as const).filter((field) => section[field] === undefined)
    .map((field) => ({ pointer: `/${field}`, code: 'missing-field', message: `a login needs ${field}`, expected: expectedOf[field] }));
  const problem = section.issuer === undefined ? null : addressProblem(section.issuer, section.allowPrivateAddresses ?? false);
  if (problem !== null) found.push({ pointer: '/issuer', code: 'invalid-address', message: `the issuer ${problem}`, expected: 'an https address' });
  if (!(section.scopes ?? []).includes('openid')) found.push({ pointer: '/scopes', code: 'invalid-value', message: 'without the scope openid the issuer tells nobody who logged in', expected: 'a list with openid' });
  if (section.callbackPath === section.logoutPath) found.push({ pointer: '/logoutPath', code: 'duplicate', message: 'the same as callbackPath', expected: 'another path' });
  const { name = '', domain } = section.cookie ?? {};
  if (domain !== undefined && name.startsWith('__Host-')) found.push({ pointer: '/cookie/name', code: 'invalid-value', message: 'browsers take no cookie whose name begins with __Host- together with a domain', expected: 'another name' });
  if (section.clientSecret !== undefined && section.clientSecret.secret === section.sessionKey?.secret) {
    found.push({ pointer: '/sessionKey/secret', code: 'duplicate', message: 'the issuer knows the client secret: with it it could make sessions', expected: 'a Secret of its own' });
  }
  return found;
}

const expectedOf = { issuer: 'an https address', clientId: 'a text', clientSecret: '{secret: NAME}', sessionKey: '{secret: NAME}' } as const;

function addressProblem(address: string, allowPrivate: boolean): string | null {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null) return 'is no address';
  if (url.username !== '' || url.password !== '' || url.hash !== '' || url.search !== '') return 'has a user name, a query or a fragment';
  if (url.protocol === 'https:' || (url.protocol === 'http:' && allowPrivate)) return null;
  return url.protocol === 'http:' ? 'is not of https: plain http is for private addresses, with allowPrivateAddresses' : 'is not of https';
}

function ownPath(): z.ZodString {
  return checked('a path of plain characters such as /.remora/callback', (value) => value.length <= 256 && /^(?:\/[A-Za-z0-9._~-]+)+$/.test(value) && !/\/\.\.?(?:\/|$)/.test(value));
}

function secret(): z.ZodObject<{ secret: z.ZodString }> {
  return z.strictObject({ secret: checked('the name of a Secret', (value) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value)) });
}

function text(max: number, expected: string): z.ZodString {
  return checked(expected, (value) => value.length > 0 && value.length <= max && !hasControl(value));
}

function checked(expected: string, accepts: (value: string) => boolean): z.ZodString {
  return z.string({ error: () => `must be ${expected}` }).superRefine((value, context) => {
    if (!accepts(value)) context.addIssue({ code: 'custom', message: `${JSON.stringify(value.slice(0, 80))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}
