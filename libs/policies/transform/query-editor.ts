import type { Exchange } from '@remora/policy-kit/exchange';
import { decodeQueryText } from '@remora/policy-kit/query-values';
import { compileTemplate, type TemplateOptions } from '@remora/policy-kit/variables';
import type { QueryPlan, ValuePlan } from './wire.ts';

/** Answers the raw query after the edits: pairs that no edit names stay byte for byte, in their order. */
export type QueryEditor = (x: Exchange, query: string) => string;

/** null where the plan changes nothing. */
export function createQueryEditor(plan: QueryPlan, options: TemplateOptions): QueryEditor | null {
  const removed = new Set(plan.remove);
  const renamed = new Map(plan.rename.map(({ name, to }) => [name, encodeComponent(to)]));
  const set = plan.set.map((value) => createSetter(value, options));
  const added = plan.add.map((value) => createSetter(value, options));
  if (removed.size + renamed.size + set.length + added.length === 0) return null;
  const replaced = new Set(plan.set.map(({ name }) => name));
  return (x, query) => {
    const present = new Set<string>();
    const pairs: string[] = [];
    for (const pair of query === '' ? [] : query.split('&')) {
      const kept = editPair(pair, removed, renamed);
      if (kept === null || replaced.has(nameOf(kept))) continue;
      present.add(nameOf(kept));
      pairs.push(kept);
    }
    for (const setter of set) pairs.push(setter.pair(x));
    for (const setter of added) if (!present.has(setter.name) && !replaced.has(setter.name)) pairs.push(setter.pair(x));
    return pairs.join('&');
  };
}

function editPair(pair: string, removed: ReadonlySet<string>, renamed: ReadonlyMap<string, string>): string | null {
  const name = nameOf(pair);
  if (removed.has(name)) return null;
  const to = renamed.get(name);
  if (to === undefined) return pair;
  const equals = pair.indexOf('=');
  return equals < 0 ? to : to + pair.slice(equals);
}

function nameOf(pair: string): string {
  const equals = pair.indexOf('=');
  return decodeQueryText(equals < 0 ? pair : pair.slice(0, equals));
}

interface Setter {
  readonly name: string;
  pair(x: Exchange): string;
}

function createSetter({ name, parts }: ValuePlan, options: TemplateOptions): Setter {
  const evaluate = compileTemplate(parts, options);
  const start = `${encodeComponent(name)}=`;
  return { name, pair: (x) => start + encodeComponent(evaluate(x)) };
}

/** Percent-encoding that no input can make throw: a lone surrogate becomes U+FFFD. */
function encodeComponent(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
