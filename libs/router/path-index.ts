import type { Head } from '@remora/http/head';
import type { RouteCandidate, Search } from './candidate.ts';
import { evaluate } from './condition.ts';
import { PrefixIndex } from './prefix-index.ts';
import { undecided, type Regex } from './regex.ts';
import { makeTrieNode, type TrieNode } from './template-trie.ts';

/** The routes of one host, by their paths. Lists are in the order of rank. */
export class PathIndex<T> {
  readonly exact = new Map<string, RouteCandidate<T>[]>();
  readonly prefixes = new PrefixIndex<RouteCandidate<T>[]>();
  readonly templates: TrieNode<T> = makeTrieNode<T>();
  readonly regexes: { readonly regex: Regex; readonly candidate: RouteCandidate<T> }[] = [];
  readonly any: RouteCandidate<T>[] = [];
  rankMin = Number.POSITIVE_INFINITY;
  readonly #hits: RouteCandidate<T>[][] = [];

  search(head: Head, search: Search<T>): void {
    const path = head.path;
    if (this.exact.size > 0) {
      const list = this.exact.get(path);
      if (list !== undefined) tryAll(list, head, search);
    }
    if (this.templates.rankMin < search.rank) searchTrie(this.templates, path, 1, head, search);
    if (this.prefixes.size > 0) this.#searchPrefixes(path, head, search);
    for (const { regex, candidate } of this.regexes) {
      if (candidate.rank >= search.rank) break;
      const outcome = regex.test(path);
      if (outcome === undecided) leaveUndecided(candidate, search);
      else if (outcome) tryOne(candidate, head, search);
    }
    if (this.any.length > 0) tryAll(this.any, head, search);
  }

  /** The longest first: it usually wins, and then the others need not be looked at. */
  #searchPrefixes(path: string, head: Head, search: Search<T>): void {
    const hits = this.#hits;
    for (let i = this.prefixes.find(path, hits) - 1; i >= 0; i--) {
      const list = hits[i];
      if (list !== undefined) tryAll(list, head, search);
    }
  }
}

function tryAll<T>(list: readonly RouteCandidate<T>[], head: Head, search: Search<T>): void {
  for (const candidate of list) {
    if (candidate.rank >= search.rank) return;
    tryOne(candidate, head, search);
  }
}

function tryOne<T>(candidate: RouteCandidate<T>, head: Head, search: Search<T>): void {
  const outcome = candidate.conditions.length === 0 ? true : evaluate(candidate.conditions, head);
  if (outcome === false) return;
  if (outcome === undecided) {
    leaveUndecided(candidate, search);
    return;
  }
  search.best = candidate;
  search.rank = candidate.rank;
  search.undecided = false;
}

function leaveUndecided<T>(candidate: RouteCandidate<T>, search: Search<T>): void {
  search.best = null;
  search.rank = candidate.rank;
  search.undecided = true;
}

/** `at` is where the next segment starts; beyond the end there is none. */
function searchTrie<T>(node: TrieNode<T>, path: string, at: number, head: Head, search: Search<T>): void {
  if (node.rests.length > 0) tryAll(node.rests, head, search);
  if (at > path.length) {
    tryAll(node.ends, head, search);
    return;
  }
  const slash = path.indexOf('/', at);
  const end = slash < 0 ? path.length : slash;
  if (node.literals.size > 0) {
    const child = node.literals.get(path.slice(at, end));
    if (child !== undefined && child.rankMin < search.rank) searchTrie(child, path, end + 1, head, search);
  }
  const child = node.variable;
  if (child !== null && end > at && child.rankMin < search.rank) searchTrie(child, path, end + 1, head, search);
}
