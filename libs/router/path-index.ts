import type { Head } from '@remora/http/head';
import { Chain, chained, type RouteCandidate, type Search } from './candidate.ts';
import { evaluate } from './condition.ts';
import type { PathTemplate } from './path-template.ts';
import { PrefixIndex } from './prefix-index.ts';
import { undecided, type Regex } from './regex.ts';
import { insertTemplate, makeTrieNode, type TrieNode } from './template-trie.ts';

/** The routes of one host, by their paths. Lists are in the order of rank. */
export class PathIndex<T> {
  rankMin = Number.POSITIVE_INFINITY;
  // Made when they are needed: with one host per route there are as many indexes as routes.
  #any: Chain<T> | null = null;
  #exact: Map<string, Chain<T>> | null = null;
  #prefixes: PrefixIndex<Chain<T>> | null = null;
  #templates: TrieNode<T> | null = null;
  #regexes: { readonly regex: Regex; readonly candidate: RouteCandidate<T> }[] | null = null;

  addAny(candidate: RouteCandidate<T>): void {
    this.#any = chained(this.#any, candidate);
  }

  addExact(path: string, candidate: RouteCandidate<T>): void {
    this.#exact ??= new Map();
    const chain = this.#exact.get(path);
    if (chain === undefined) this.#exact.set(path, new Chain(candidate));
    else chain.add(candidate);
  }

  addPrefix(prefix: string, candidate: RouteCandidate<T>): void {
    this.#prefixes ??= new PrefixIndex();
    const chain = this.#prefixes.get(prefix);
    if (chain === undefined) this.#prefixes.set(prefix, new Chain(candidate));
    else chain.add(candidate);
  }

  addTemplate(template: PathTemplate, candidate: RouteCandidate<T>): void {
    this.#templates ??= makeTrieNode();
    insertTemplate(this.#templates, template, candidate);
  }

  addRegex(regex: Regex, candidate: RouteCandidate<T>): void {
    this.#regexes ??= [];
    this.#regexes.push({ regex, candidate });
  }

  search(head: Head, search: Search<T>): void {
    const path = head.path;
    const chain = this.#exact?.get(path);
    if (chain !== undefined) tryAll(chain, head, search);
    if (this.#templates !== null && this.#templates.rankMin < search.rank) searchTrie(this.#templates, path, 1, head, search);
    if (this.#prefixes !== null) searchPrefixes(this.#prefixes, path, head, search);
    if (this.#regexes !== null) this.#searchRegexes(this.#regexes, path, head, search);
    if (this.#any !== null) tryAll(this.#any, head, search);
  }

  #searchRegexes(regexes: readonly { readonly regex: Regex; readonly candidate: RouteCandidate<T> }[], path: string, head: Head, search: Search<T>): void {
    for (const { regex, candidate } of regexes) {
      if (candidate.rank >= search.rank) return;
      const outcome = regex.test(path);
      if (outcome === undecided) leaveUndecided(candidate, search);
      else if (outcome) tryOne(candidate, head, search);
    }
  }
}

/** The longest first: it usually wins, and then the others need not be looked at. */
function searchPrefixes<T>(prefixes: PrefixIndex<Chain<T>>, path: string, head: Head, search: Search<T>): void {
  const hits = search.hits;
  for (let i = prefixes.find(path, hits) - 1; i >= 0; i--) {
    const chain = hits[i];
    if (chain !== undefined) tryAll(chain, head, search);
  }
}

function tryAll<T>(chain: Chain<T>, head: Head, search: Search<T>): void {
  for (let candidate: RouteCandidate<T> | null = chain.first; candidate !== null && candidate.rank < search.rank; candidate = candidate.next) {
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
  if (node.rests !== null) tryAll(node.rests, head, search);
  if (at > path.length) {
    if (node.ends !== null) tryAll(node.ends, head, search);
    return;
  }
  const slash = path.indexOf('/', at);
  const end = slash < 0 ? path.length : slash;
  if (node.literals !== null) {
    const child = node.literals.get(path.slice(at, end));
    if (child !== undefined && child.rankMin < search.rank) searchTrie(child, path, end + 1, head, search);
  }
  const child = node.variable;
  if (child !== null && end > at && child.rankMin < search.rank) searchTrie(child, path, end + 1, head, search);
}
