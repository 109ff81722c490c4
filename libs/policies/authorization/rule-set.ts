/** Rules by their number, as bits: what conditions leave over is an AND of a few words, whatever the number of rules. */
export type RuleSet = Uint32Array;

export function emptyRules(count: number): RuleSet {
  return new Uint32Array(Math.max(1, Math.ceil(count / 32)));
}

export function addRule(set: RuleSet, rule: number): void {
  set[rule >>> 5] = ((set[rule >>> 5] ?? 0) | (1 << (rule & 31))) >>> 0;
}

export function hasRule(set: RuleSet, rule: number): boolean {
  return ((set[rule >>> 5] ?? 0) & (1 << (rule & 31))) !== 0;
}

export function addAll(set: RuleSet, more: RuleSet): void {
  for (let i = 0; i < set.length; i += 1) set[i] = ((set[i] ?? 0) | (more[i] ?? 0)) >>> 0;
}

export function keepOnly(set: RuleSet, those: RuleSet): void {
  for (let i = 0; i < set.length; i += 1) set[i] = ((set[i] ?? 0) & (those[i] ?? 0)) >>> 0;
}

/** The rules for which a test holds. */
export function rulesWhere<T>(rules: readonly T[], test: (rule: T) => boolean): RuleSet {
  const set = emptyRules(rules.length);
  rules.forEach((rule, i) => {
    if (test(rule)) addRule(set, i);
  });
  return set;
}
