import { readPathPattern } from './path-pattern.ts';
import { addAll, addRule, emptyRules, type RuleSet } from './rule-set.ts';

/**
 * Rules by their paths, as a tree of segments. Rules that deny are also found by what an upstream may make of the path: with a slash behind it, without
 * parameters (`;v=1`), with encoded slashes as slashes. A rule that allows is for the canonical path alone.
 */
export class PathIndex {
  readonly #root: Node;
  readonly #count: number;
  readonly #everywhere: RuleSet;
  readonly #denying: RuleSet;
  readonly #other: RuleSet;

  /** `everywhere`: rules without paths. */
  constructor(rules: readonly { readonly paths: readonly string[]; readonly deny: boolean }[]) {
    this.#count = rules.length;
    this.#root = newNode(this.#count);
    this.#everywhere = emptyRules(this.#count);
    this.#denying = emptyRules(this.#count);
    this.#other = emptyRules(this.#count);
    rules.forEach(({ paths, deny }, rule) => {
      if (paths.length === 0) addRule(this.#everywhere, rule);
      if (deny) addRule(this.#denying, rule);
      for (const path of paths) this.#add(path, rule);
    });
  }

  /** Adds the rules of a path to a set. */
  find(path: string, into: RuleSet): void {
    addAll(into, this.#everywhere);
    // A TCP connection has no path: what is about paths is not about it.
    if (path === '') return;
    this.#walk(this.#root, path, 0, into);
    const reading = upstreamReading(path);
    if (reading === null) return;
    this.#other.fill(0);
    this.#walk(this.#root, reading, 0, this.#other);
    for (let i = 0; i < into.length; i += 1) into[i] = ((into[i] ?? 0) | ((this.#other[i] ?? 0) & (this.#denying[i] ?? 0))) >>> 0;
  }

  #add(text: string, rule: number): void {
    const { segments, below } = readPathPattern(text);
    let node = this.#root;
    for (const segment of segments) {
      if (segment === null) node = node.any ??= newNode(this.#count);
      else {
        let next = node.children.get(segment);
        if (next === undefined) node.children.set(segment, next = newNode(this.#count));
        node = next;
      }
    }
    if (below) addRule(node.below, rule);
    else addRule(node.exact, rule);
  }

  /** `at`: the slash before the next segment, or the end of the path. */
  #walk(node: Node, path: string, at: number, into: RuleSet): void {
    addAll(into, node.below);
    if (at >= path.length) {
      addAll(into, node.exact);
      return;
    }
    if (node.children.size === 0 && node.any === null) return;
    let end = path.indexOf('/', at + 1);
    if (end < 0) end = path.length;
    const child = node.children.get(path.slice(at + 1, end));
    if (child !== undefined) this.#walk(child, path, end, into);
    if (node.any !== null && end > at + 1) this.#walk(node.any, path, end, into);
  }
}

interface Node {
  readonly children: Map<string, Node>;
  /** `{name}`. */
  any: Node | null;
  /** Patterns that end here; patterns with `/*` behind this. */
  readonly exact: RuleSet;
  readonly below: RuleSet;
}

function newNode(count: number): Node {
  return { children: new Map(), any: null, exact: emptyRules(count), below: emptyRules(count) };
}

/** What upstreams may read instead of the canonical path; null where they read just that. */
export function upstreamReading(path: string): string | null {
  const coded = path.includes('%2F') || path.includes('%5C') || path.includes('%3B') || path.includes(';');
  if (!coded) return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : null;
  const kept: string[] = [];
  for (const segment of path.replaceAll('%2F', '/').replaceAll('%5C', '/').replaceAll('%3B', ';').split('/')) {
    const parameter = segment.indexOf(';');
    const name = parameter < 0 ? segment : segment.slice(0, parameter);
    if (name === '..') kept.pop();
    else if (name !== '' && name !== '.') kept.push(name);
  }
  return `/${kept.join('/')}`;
}
