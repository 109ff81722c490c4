import { chained, type Chain, type RouteCandidate } from './candidate.ts';
import type { PathTemplate } from './path-template.ts';

/** A node of the trie of path templates: one segment deep. Candidates are inserted in the order of their rank. */
export interface TrieNode<T> {
  literals: Map<string, TrieNode<T>> | null;
  variable: TrieNode<T> | null;
  /** Templates that end here. */
  ends: Chain<T> | null;
  /** Templates whose `{rest*}` begins here. */
  rests: Chain<T> | null;
  /** Lowest rank below: a branch that cannot win is not entered. */
  rankMin: number;
}

export function makeTrieNode<T>(): TrieNode<T> {
  return { literals: null, variable: null, ends: null, rests: null, rankMin: Number.POSITIVE_INFINITY };
}

export function insertTemplate<T>(root: TrieNode<T>, template: PathTemplate, candidate: RouteCandidate<T>): void {
  let node = root;
  node.rankMin = Math.min(node.rankMin, candidate.rank);
  for (const segment of template.segments) {
    node = segment === null ? (node.variable ??= makeTrieNode<T>()) : literalChild(node, segment);
    node.rankMin = Math.min(node.rankMin, candidate.rank);
  }
  if (template.rest) node.rests = chained(node.rests, candidate);
  else node.ends = chained(node.ends, candidate);
}

function literalChild<T>(node: TrieNode<T>, segment: string): TrieNode<T> {
  node.literals ??= new Map();
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
