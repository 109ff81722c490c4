import type { Condition } from './condition.ts';
import type { PathTemplate } from './path-template.ts';
import type { Regex } from './regex.ts';

/** One route for one of its hosts, in the order of the table: the lowest `rank` wins. */
export interface RouteCandidate<T> {
  readonly rank: number;
  readonly conditions: readonly Condition[];
  /** Answered as it is where the path captures nothing. */
  readonly hit: RouteHit<T>;
  /** What captures the path's variables. */
  readonly template: PathTemplate | null;
  readonly regex: Regex | null;
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
}
