import type { Answer, EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { OwnTrustDomain } from '@remora/policy-kit/own-trust-domain';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { CallerIndex } from './caller-index.ts';
import { PathIndex } from './path-index.ts';
import { authorizationDenied } from './reasons.ts';
import { emptyRules, hasRule, keepOnly, rulesWhere, type RuleSet } from './rule-set.ts';
import { buildRuleTest, type RuleTest } from './rule-test.ts';
import { authorizationWire, type AuthorizationRule, type AuthorizationSettings } from './wire.ts';

/** Lets requests and connections in by rules. */
export const authorizationRuntime: RuntimeKind<AuthorizationSettings> = {
  ...authorizationWire,
  side: 'provider',
  tcp: true,
  edge: (settings, context) => (settings.rules.length === 0 && settings.allowByDefault ? null : makeFilter(new RuleBook(settings, context), settings.revoke && !context.shadow)),
};

function makeFilter(book: RuleBook, revokes: boolean): EdgeFilter {
  return { kind: 'authorization', request: (x) => book.decide(x), concerns: (x) => book.allowing(x), ...(revokes && { revoke: (x: Exchange) => book.decide(x) }) };
}

/** The rules of one place as tables: by method, path and caller they are left over, the few that remain are tested. */
class RuleBook {
  readonly #rules: readonly AuthorizationRule[];
  readonly #tests: readonly (RuleTest | null)[];
  readonly #denials: readonly Answer[];
  readonly #failures: readonly Answer[];
  readonly #denying: RuleSet;
  readonly #anyMethod: RuleSet;
  readonly #methods = new Map<string, RuleSet>();
  readonly #paths: PathIndex | null;
  readonly #callers: CallerIndex;
  readonly #denied: Answer | null;
  readonly #count: { readonly failed: () => void };
  /** Of the request that is being decided. */
  readonly #left: RuleSet;

  constructor({ rules, allowByDefault, defaultPointer }: AuthorizationSettings, context: FilterContext) {
    const domain = new OwnTrustDomain(context.facts('identity'));
    this.#rules = rules;
    this.#tests = rules.map((rule) => buildRuleTest(rule, domain));
    this.#denials = rules.map(({ name }) => context.refuse(authorizationDenied, `/rules/${name}`, `rule ${name} denies this`));
    this.#failures = rules.map(({ name }) => context.refuse(authorizationDenied, `/rules/${name}`, `rule ${name} could not be evaluated`));
    this.#denied = allowByDefault ? null : context.refuse(authorizationDenied, defaultPointer, 'no rule allows this');
    this.#denying = rulesWhere(rules, ({ deny }) => deny);
    this.#anyMethod = rulesWhere(rules, ({ methods }) => methods.length === 0);
    for (const method of new Set(rules.flatMap(({ methods }) => methods))) this.#methods.set(method, rulesWhere(rules, ({ methods }) => methods.length === 0 || methods.includes(method)));
    this.#paths = rules.some(({ paths }) => paths.length > 0) ? new PathIndex(rules) : null;
    this.#callers = new CallerIndex(rules, domain);
    this.#count = { failed: context.counter('authorization_failed') };
    this.#left = emptyRules(rules.length);
  }

  decide(x: Exchange): Answer | null {
    const left = this.#about(x);
    return this.#denies(x, left) ?? this.#allows(x, left);
  }

  /** Pointers of the rules that allow it, of the default where there is none. */
  allowing(x: Exchange): readonly string[] {
    const left = this.#about(x);
    const rules = this.#rules.filter(({ deny }, rule) => !deny && hasRule(left, rule) && this.#holds(x, rule) === true).map(({ name }) => `/rules/${name}`);
    return rules.length === 0 ? ['/defaultAction'] : rules;
  }

  /** The rules that the tables leave over. */
  #about(x: Exchange): RuleSet {
    const left = this.#left;
    left.fill(0);
    if (this.#paths === null) left.fill(0xffffffff);
    else this.#paths.find(x.askedPath ?? x.head.path, left);
    keepOnly(left, this.#methods.get(x.head.method) ?? this.#anyMethod);
    if (this.#callers.used) keepOnly(left, this.#callers.find(x.connection.principal));
    return left;
  }

  /** The first rule, by name, that denies or cannot say. */
  #denies(x: Exchange, left: RuleSet): Answer | null {
    for (let word = 0; word < left.length; word += 1) {
      for (let bits = ((left[word] ?? 0) & (this.#denying[word] ?? 0)) >>> 0; bits !== 0; bits = (bits & (bits - 1)) >>> 0) {
        const rule = (word << 5) + 31 - Math.clz32(bits & -bits);
        const holds = this.#holds(x, rule);
        if (holds === false) continue;
        if (holds === true) return this.#denials[rule] ?? null;
        this.#count.failed();
        return this.#failures[rule] ?? null;
      }
    }
    return null;
  }

  /** Null: some rule allows it, or the default does. */
  #allows(x: Exchange, left: RuleSet): Answer | null {
    let failed = -1;
    for (let word = 0; word < left.length; word += 1) {
      for (let bits = ((left[word] ?? 0) & ~(this.#denying[word] ?? 0)) >>> 0; bits !== 0; bits = (bits & (bits - 1)) >>> 0) {
        const rule = (word << 5) + 31 - Math.clz32(bits & -bits);
        if (rule >= this.#rules.length) break;
        const holds = this.#holds(x, rule);
        if (holds === true) return null;
        if (holds === null && failed < 0) failed = rule;
      }
    }
    if (failed < 0) return this.#denied;
    this.#count.failed();
    return this.#failures[failed] ?? null;
  }

  #holds(x: Exchange, rule: number): boolean | null {
    const test = this.#tests[rule];
    return test === undefined ? false : test === null ? true : test(x);
  }
}
