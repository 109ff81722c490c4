import { NetworkSet } from '@remora/core/network-set';
import { claimValue } from '@remora/policy-kit/claim-value';
import type { Exchange } from '@remora/policy-kit/exchange';
import { buildExpression, type ExpressionTest } from '@remora/policy-kit/expression-run';
import type { OwnTrustDomain } from '@remora/policy-kit/own-trust-domain';
import type { ConsumerFacts } from '@remora/policy-kit/request-identity';
import type { AuthorizationRule } from './wire.ts';

/** Whether the conditions of a rule hold that no table answers: null where one cannot be evaluated, which must deny. */
export type RuleTest = (x: Exchange) => boolean | null;

/** One closure per rule and snapshot; null where the tables say everything. */
export function buildRuleTest(rule: AuthorizationRule, domain: OwnTrustDomain): RuleTest | null {
  const tests = [addressTest(rule), consumerTest(rule), scopeTest(rule), ...rule.claims.map(claimTest), whenTest(rule, domain)].filter((test) => test !== null);
  const [first, second] = tests;
  if (first === undefined) return null;
  if (second === undefined) return first;
  return (x) => {
    let undecided = false;
    for (const test of tests) {
      const holds = test(x);
      if (holds === false) return false;
      undecided ||= holds === null;
    }
    return undecided ? null : true;
  };
}

function addressTest({ addresses }: AuthorizationRule): RuleTest | null {
  if (addresses.length === 0) return null;
  const set = new NetworkSet();
  for (const network of addresses) set.add(network, 0);
  let last: string | null = null;
  let verdict: boolean | null = null;
  // Requests of one connection come from one address.
  return ({ clientAddress }) => {
    if (clientAddress !== last) {
      const found = set.find(clientAddress);
      last = clientAddress;
      verdict = found === -2 ? null : found >= 0;
    }
    return verdict;
  };
}

/** Consumers are the same objects from request to request, as long as their document is. */
function consumerTest({ consumers, groups }: AuthorizationRule): RuleTest | null {
  if (consumers.length === 0 && groups.length === 0) return null;
  const names = consumers.length === 0 || consumers.includes('*') ? null : new Set(consumers);
  const wanted = groups.length === 0 ? null : new Set(groups);
  const verdicts = new WeakMap<ConsumerFacts, boolean>();
  return ({ identity }) => {
    const consumer = identity === null ? null : identity.consumer;
    if (consumer === null) return false;
    let verdict = verdicts.get(consumer);
    if (verdict === undefined) {
      verdict = (names === null || names.has(consumer.name)) && (wanted === null || consumer.groups.some((group) => wanted.has(group)));
      verdicts.set(consumer, verdict);
    }
    return verdict;
  };
}

function scopeTest({ scopes }: AuthorizationRule): RuleTest | null {
  if (scopes.length === 0) return null;
  const wanted = new Set(scopes);
  return ({ identity }) => {
    if (identity === null) return false;
    for (const scope of identity.scopes) if (wanted.has(scope)) return true;
    return false;
  };
}

function claimTest({ path, values }: AuthorizationRule['claims'][number]): RuleTest {
  const wanted: ReadonlySet<unknown> = new Set(values);
  return ({ identity }) => {
    const claims = identity === null ? null : identity.claims;
    if (claims === null) return false;
    const value = claimValue(claims, path);
    if (!Array.isArray(value)) return wanted.has(value);
    for (const item of value as readonly unknown[]) if (wanted.has(item)) return true;
    return false;
  };
}

function whenTest({ name, whenProgram }: AuthorizationRule, domain: OwnTrustDomain): RuleTest | null {
  if (whenProgram === '') return null;
  const holds: ExpressionTest = buildExpression(whenProgram, `/rules/${name}/when`, domain);
  return (x) => {
    const value = holds(x);
    return typeof value === 'boolean' ? value : null;
  };
}
