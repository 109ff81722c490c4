import type { RouteCandidate } from './candidate.ts';
import type { PathTemplate } from './path-template.ts';

/** A node of the trie of path templates: one segment deep. Candidates are inserted in the order of their rank. */
export interface TrieNode<T> {
  readonly literals: Map<string, TrieNode<T>>;
  variable: TrieNode<T> | null;
  /** Templates that end here. */
  readonly ends: RouteCandidate<T>[];
  /** Templates whose `{rest*}` begins here. */
  readonly rests: RouteCandidate<T>[];
  /** Lowest rank below: a branch that cannot win is not entered. */
  rankMin: number;
}

export function makeTrieNode<T>(): TrieNode<T> {
  return { literals: new Map(), variable: null, ends: [], rests: [], rankMin: Number.POSITIVE_INFINITY };
}

export function insertTemplate<T>(root: TrieNode<T>, template: PathTemplate, candidate: RouteCandidate<T>): void {
  let node = root;
  node.rankMin = Math.min(node.rankMin, candidate.rank);
  for (const segment of template.segments) {
    node = segment === null ? (node.variable ??= makeTrieNode<T>()) : literalChild(node, segment);
    node.rankMin = Math.min(node.rankMin, candidate.rank);
  }
  (template.rest ? node.rests : node.ends).push(candidate);
}

function literalChild<T>(node: TrieNode<T>, segment: string): TrieNode<T> {
  let child = node.literals.get(segment);
  if (child === undefined) {
    child = makeTrieNode<T>();
    node.literals.set(segment, child);
  }
  return child;
}

/** Values of a template's variables in a path that it matches, in the order of its names. */
export function captureTemplate(template: PathTemplate, path: string): string[] {
  const values: string[] = [];
  let at = 1;
  for (const segment of template.segments) {
    let end = path.indexOf('/', at);
    if (end < 0) end = path.length;
    if (segment === null) values.push(path.slice(at, end));
    at = end + 1;
  }
  if (template.rest) values.push(at < path.length ? path.slice(at) : '');
  return values;
}
