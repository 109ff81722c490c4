import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { compileExpression } from '@remora/policy-kit/expression';
import { Authorization, type Claim, type Rule } from './gen/authorization.ts';
import { authorizationDefaults, authorizationSchema, checkAuthorization, type EffectiveAuthorization, type EffectiveRule } from './schema.ts';

/** Who may do what: provider side. */
export const authorizationAuthoring: AuthoringKind = {
  name: 'authorization',
  side: 'provider',
  tcp: true,
  always: false,
  shadow: true,
  format: 1,
  schema: authorizationSchema,
  defaults: authorizationDefaults,
  check: checkAuthorization,
  compile: (effective) => ({ minFormat: 1, body: Authorization.encode(toMessage(effective)).finish() }),
};

function toMessage({ rules = {}, defaultAction, revoke }: EffectiveAuthorization): Authorization {
  const entries = Object.entries(rules).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    rules: entries.map(([name, rule]) => toRule(name, rule)),
    // As Istio has it: where something is allowed, everything else is not.
    allowByDefault: defaultAction === undefined ? !entries.some(([, { action }]) => action === 'allow') : defaultAction === 'allow',
    defaultGiven: defaultAction !== undefined,
    revoke: revoke ?? false,
  };
}

function toRule(name: string, rule: EffectiveRule): Rule {
  return {
    name,
    deny: rule.action === 'deny',
    callers: sorted(rule.callers),
    consumers: sorted(rule.consumers),
    groups: sorted(rule.groups),
    scopes: sorted(rule.scopes),
    claims: Object.entries(rule.claims ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, values]): Claim => ({ path, values: sorted([values].flat().map((value) => JSON.stringify(value))) })),
    methods: sorted(rule.methods),
    paths: sorted(rule.paths),
    addresses: sorted(rule.addresses),
    whenProgram: rule.when === undefined ? '' : compileExpression(rule.when),
    whenText: rule.when ?? '',
  };
}

function sorted(list: readonly string[] | undefined): string[] {
  return [...new Set(list)].sort();
}
