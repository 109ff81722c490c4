import { anyCaller, fitsCaller, readCallerPattern, type CallerPattern } from '@remora/policy-kit/caller-pattern';
import type { OwnTrustDomain } from '@remora/policy-kit/own-trust-domain';
import { addRule, emptyRules, rulesWhere, type RuleSet } from './rule-set.ts';

/** Callers whose rules are remembered; beyond it all are forgotten. */
const callersMax = 1_024;

/** Rules by who calls. The rules of a caller are found once and kept: a service has few callers. */
export class CallerIndex {
  readonly #rules: readonly { readonly callers: readonly string[] }[];
  readonly #patterns: readonly (readonly (CallerPattern | null)[])[];
  readonly #domain: OwnTrustDomain;
  readonly #known = new Map<string, RuleSet>();
  readonly #nobody: RuleSet;
  /** Whether any rule asks. */
  readonly used: boolean;
  #version = -1;
  #last = '';
  #lastRules: RuleSet;

  constructor(rules: readonly { readonly callers: readonly string[] }[], domain: OwnTrustDomain) {
    this.#rules = rules;
    this.#patterns = rules.map(({ callers }) => callers.map((text) => (text === anyCaller ? null : readCallerPattern(text))));
    this.#domain = domain;
    this.#nobody = rulesWhere(rules, ({ callers }) => callers.length === 0);
    this.#lastRules = this.#nobody;
    this.used = rules.some(({ callers }) => callers.length > 0);
  }

  /** Rules that the caller is not excluded from; `principal` is '' without a certificate. */
  find(principal: string): RuleSet {
    if (principal === '') return this.#nobody;
    if (this.#domain.version !== this.#version) this.#forget();
    if (principal === this.#last) return this.#lastRules;
    let rules = this.#known.get(principal);
    if (rules === undefined) {
      if (this.#known.size >= callersMax) this.#known.clear();
      this.#known.set(principal, rules = this.#rulesOf(principal));
    }
    this.#last = principal;
    this.#lastRules = rules;
    return rules;
  }

  #forget(): void {
    this.#version = this.#domain.version;
    this.#known.clear();
    this.#last = '';
  }

  #rulesOf(principal: string): RuleSet {
    const own = this.#domain.get();
    const set = emptyRules(this.#rules.length);
    this.#patterns.forEach((patterns, rule) => {
      if (patterns.length === 0 || patterns.some((pattern) => fitsCaller(pattern, principal, own))) addRule(set, rule);
    });
    return set;
  }
}
