import { parse } from 'yaml';
import { z } from 'zod';
import type { SubjectKey } from '@remora/core/subject';
import { apiTokenLimits } from '../api-tokens.ts';
import type { RoleGrant } from '../principal.ts';
import { roles } from '../role.ts';

/** Which claims of an issuer's tokens give which role. */
export interface RoleRules {
  /** Claim that names people in the history; '' for the usual ones. */
  readonly nameClaim: string;
  readonly rules: readonly RoleRule[];
}

interface RoleRule {
  /** null: everybody whom the issuer gives a token for us. */
  readonly claim: string | null;
  readonly value: string;
  readonly grant: RoleGrant;
}

const rulesMax = 1_000;
const names = z.array(z.string().min(1).max(253)).max(apiTokenLimits.subjectsMax).default([]);

const rule = z.strictObject({
  claim: z.string().min(1).max(200).optional(),
  value: z.string().min(1).max(500).optional(),
  everybody: z.literal(true).optional(),
  role: z.enum(roles, { error: `expected one of ${roles.join(', ')}` }),
  services: names,
  gateways: names,
});

const file = z.strictObject({ name: z.string().min(1).max(200).optional(), rules: z.array(rule).min(1).max(rulesMax) });

/** Reads the file of `--oidc-roles-file`. Sentences say everything that is wrong. */
export function readRoleRules(text: string): { readonly ok: true; readonly rules: RoleRules } | { readonly ok: false; readonly problems: readonly string[] } {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 10 });
  } catch (error) {
    return { ok: false, problems: [(error as Error).message.split('\n', 1)[0] ?? ''] };
  }
  const result = file.safeParse(value);
  if (!result.success) return { ok: false, problems: result.error.issues.map(({ path, message }) => `/${path.join('/')}: ${message}`) };
  const problems = result.data.rules.flatMap((one, at) => problemsOf(one).map((problem) => `/rules/${at}: ${problem}`));
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, rules: { nameClaim: result.data.name ?? '', rules: result.data.rules.map(ruleOf) } };
}

type RawRule = z.output<typeof rule>;

function problemsOf({ claim, value, everybody, role, services, gateways }: RawRule): string[] {
  const problems: string[] = [];
  if (everybody ? claim !== undefined || value !== undefined : claim === undefined || value === undefined) problems.push('expected claim and value, or everybody: true');
  if (role === 'admin' && services.length + gateways.length > 0) problems.push('an admin cannot be for some services only; use editor');
  if (role === 'admin' && everybody) problems.push('everybody cannot be an admin');
  return problems;
}

function ruleOf({ claim, value = '', role, services, gateways }: RawRule): RoleRule {
  const subjects: SubjectKey[] = [...services.map((name): SubjectKey => `service/${name}`), ...gateways.map((name): SubjectKey => `gateway/${name}`)];
  return { claim: claim ?? null, value, grant: { role, scope: subjects.length === 0 ? null : { subjects } } };
}

/** What the claims of a verified token give: each rule that fits, once. */
export function grantsOf({ rules }: RoleRules, claims: Readonly<Record<string, unknown>>): readonly RoleGrant[] {
  return rules.filter(({ claim, value }) => claim === null || valuesOf(claims, claim).includes(value)).map(({ grant }) => grant);
}

/** A claim by its name, or by its path (`realm_access.roles`): its text, or the texts of its list. */
function valuesOf(claims: Readonly<Record<string, unknown>>, claim: string): readonly unknown[] {
  const direct = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  const value = direct === undefined ? atPath(claims, claim.split('.')) : direct;
  return Array.isArray(value) ? value : [value];
}

function atPath(value: unknown, [step, ...rest]: readonly string[]): unknown {
  if (step === undefined) return value;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
  return atPath((value as Readonly<Record<string, unknown>>)[step], rest);
}
