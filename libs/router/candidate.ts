import type { Condition } from './condition.ts';
import type { PathTemplate } from './path-template.ts';
import type { Regex } from './regex.ts';

/**
 * One route for one of its hosts, in the order of the table: the lowest `rank` wins. Candidates of the same path are a chain in
 * that order; with 10^5 routes a list for each path would be most of the memory. It is its own hit where the path captures nothing.
 */
export interface RouteCandidate<T> extends RouteHit<T> {
  rank: number;
  readonly conditions: readonly Condition[];
  /** What captures the path's variables. */
  readonly template: PathTemplate | null;
  readonly regex: Regex | null;
  next: RouteCandidate<T> | null;
}

export interface RouteHit<T> {
  readonly value: T;
  /** Names of the path's variables: one array per route. */
  readonly pathNames: readonly string[];
  /** Their values in this request, as they stand in the canonical path. */
  readonly pathValues: readonly string[];
}

/** The search for the best route of one request; reused, as matching never waits. */
export interface Search<T> {
  best: RouteCandidate<T> | null;
  /** Rank to be beaten: of `best`, or of a candidate that could not be decided. */
  rank: number;
  undecided: boolean;
  /** Chains found by prefix. */
  readonly hits: Chain<T>[];
}

/** Candidates in the order of their rank: they are added in it. */
export class Chain<T> {
  first: RouteCandidate<T>;
  #last: RouteCandidate<T>;

  constructor(first: RouteCandidate<T>) {
    this.first = first;
    this.#last = first;
  }

  add(candidate: RouteCandidate<T>): void {
    this.#last.next = candidate;
    this.#last = candidate;
  }
}

/** The chain with the candidate at its end, made where there is none. */
export function chained<T>(chain: Chain<T> | null | undefined, candidate: RouteCandidate<T>): Chain<T> {
  if (!chain) return new Chain(candidate);
  chain.add(candidate);
  return chain;
}
