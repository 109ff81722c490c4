import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { expressionLimits } from '@remora/policy-kit/expression-limits';
import { expressionViolation } from '@remora/policy-kit/expression';
import { cidr, entryName, method, oneOf, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { callerProblem } from '@remora/policy-kit/caller-pattern';
import { pathProblem } from './path-pattern.ts';
import { authorizationMax } from './wire.ts';

const names = z.array(z.string().min(1).max(256)).min(1).max(authorizationMax.entries);
const claimValue = z.union([z.string().max(1_024), z.number(), z.boolean()], { error: () => 'must be a text, a number, true or false' });

const ruleSchema = z.strictObject({
  action: oneOf(['allow', 'deny']).optional(),
  callers: z.array(checkedText('a SPIFFE id such as spiffe://shop.example/service/web, the name of a service, or one of them that ends with /*', 'invalid-caller', callerProblem)).min(1).max(authorizationMax.entries).optional(),
  consumers: names.optional(),
  groups: names.optional(),
  scopes: names.optional(),
  claims: z.record(claimPath(), z.union([claimValue, z.array(claimValue).min(1).max(authorizationMax.entries)])).optional(),
  methods: z.array(method()).min(1).max(16).optional(),
  paths: z.array(checkedText('a path such as /orders, /orders/* or /orders/{id}', 'invalid-path', pathProblem)).min(1).max(authorizationMax.entries).optional(),
  addresses: z.array(cidr()).min(1).max(authorizationMax.entries).optional(),
  when: z.string().min(1).max(expressionLimits.textMax).optional(),
});

/** `authorization` as authored. */
export const authorizationSchema = z.strictObject({
  rules: z.record(entryName(), ruleSchema).optional(),
  defaultAction: oneOf(['allow', 'deny']).optional(),
  revoke: z.boolean().optional(),
});

export type EffectiveRule = z.output<typeof ruleSchema>;

/** The section after merging: what `compile` gets. */
export interface EffectiveAuthorization {
  readonly rules?: Readonly<Record<string, EffectiveRule>>;
  readonly defaultAction?: string;
  readonly revoke?: boolean;
}

export const authorizationDefaults: JsonObject = { revoke: false };

function checkedText(expected: string, code: string, problemOf: (text: string) => string | null): z.ZodString {
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    const problem = problemOf(text);
    if (problem !== null) context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} ${problem}`, params: { code, expected } satisfies IssueParams });
  }).meta({ description: expected });
}

function claimPath(): z.ZodString {
  return z.string().min(1).max(256);
}

/** Each rule says what it does, and is about something that can be evaluated. */
export function checkAuthorization(effective: JsonObject): Violation[] {
  const { rules = {} } = effective as unknown as EffectiveAuthorization;
  const entries = Object.entries(rules);
  const found: Violation[] = entries.length > authorizationMax.rules ? [{ pointer: '/rules', code: 'too-many', message: `${entries.length} rules, at most ${authorizationMax.rules} are accepted` }] : [];
  const expressions = entries.filter(([, { when }]) => when !== undefined).length;
  if (expressions > authorizationMax.expressions) found.push({ pointer: '/rules', code: 'too-many', message: `${expressions} rules with when, at most ${authorizationMax.expressions} are accepted` });
  return [...found, ...entries.flatMap(([name, rule]) => checkRule(joinPointer('/rules', name), rule))];
}

function checkRule(pointer: string, rule: EffectiveRule): Violation[] {
  const found: Violation[] = [];
  if (rule.action === undefined) found.push({ pointer: `${pointer}/action`, code: 'missing-field', message: 'a rule allows or denies', expected: 'allow or deny' });
  const conditions = Object.keys(rule).filter((field) => field !== 'action');
  if (conditions.length === 0 || (conditions.length === 1 && rule.claims !== undefined && Object.keys(rule.claims).length === 0)) {
    found.push({ pointer, code: 'missing-field', message: 'a rule without a condition would be about everything: that is what defaultAction is for', expected: 'callers, consumers, groups, claims, scopes, methods, paths, addresses or when' });
  }
  if (rule.when === undefined) return found;
  const problem = expressionViolation(`${pointer}/when`, rule.when);
  return problem === null ? found : [...found, problem];
}
