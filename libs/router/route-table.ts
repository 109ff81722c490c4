import type { Head } from '@remora/http/head';
import type { RouteCandidate, RouteHit, Search } from './candidate.ts';
import { compileConditions, routeRegex } from './condition.ts';
import { hostOf } from './host-name.ts';
import type { RouteMatch } from './match.ts';
import { PathIndex } from './path-index.ts';
import { parsePathTemplate, type PathTemplate } from './path-template.ts';
import { undecided } from './regex.ts';
import { RouteError } from './route-error.ts';
import { compareKeys, orderKey, type OrderKey } from './route-order.ts';
import { sortSliced } from './sliced-sort.ts';
import { captureTemplate } from './template-trie.ts';

export type { RouteHit } from './candidate.ts';
export { undecided } from './regex.ts';

export interface RouteEntry<T> {
  readonly name: string;
  readonly priority: number;
  readonly match: RouteMatch;
  readonly value: T;
}

/** All routes of one place, built once per snapshot. */
export interface RouteTable<T> {
  readonly size: number;
  /**
   * The first route in the order of `compareRoutes` that matches; null where none does. `undecided` where a matcher of a
   * route that would come first could not be evaluated (a regex on more than `regexTextMax` characters, more than
   * `valuesMax` values of a header): such a request must be refused.
   */
  match(head: Head): RouteHit<T> | typeof undecided | null;
}

/** Patterns of one table: paths and values together. */
export const regexesMax = 2_000;

/** Throws RouteError for the first route that cannot be built. */
export function compileRouteTable<T>(routes: readonly RouteEntry<T>[]): RouteTable<T> {
  const slices = compileRouteTableSliced(routes);
  for (;;) {
    const step = slices.next();
    if (step.done === true) return step.value;
  }
}

/** The same in steps of about a millisecond, so that a data thread can do other work between them. */
export function* compileRouteTableSliced<T>(routes: readonly RouteEntry<T>[]): Generator<void, RouteTable<T>> {
  const places: Place<T>[] = [];
  let regexes = 0;
  for (const [i, entry] of routes.entries()) {
    regexes += countRegexes(entry.match);
    if (regexes > regexesMax) throw new RouteError(entry.name, '/match', 'too-many-regexes', `more than ${regexesMax} regular expressions in one table`);
    addPlaces(entry, places);
    if (i % 256 === 255) yield;
  }
  const ordered = yield* sortSliced(places, comparePlaces);
  const hosts = new HostIndex<T>();
  for (const [rank, { host, path, candidate }] of ordered.entries()) {
    candidate.rank = rank;
    insert(hosts.paths(host), path, candidate);
    if (rank % 256 === 255) yield;
  }
  return new Table(routes.length, hosts);
}

/** A route for one of its hosts, while the table is built. */
interface Place<T> {
  readonly host: string;
  readonly key: OrderKey;
  readonly path: IndexPath;
  readonly candidate: RouteCandidate<T>;
}

function comparePlaces(a: Place<unknown>, b: Place<unknown>): number {
  return compareKeys(a.key, b.key);
}

const none: readonly string[] = Object.freeze([]);
const anyHost: readonly string[] = Object.freeze(['']);
const noConditions: RouteCandidate<unknown>['conditions'] = Object.freeze([]);

function addPlaces<T>(entry: RouteEntry<T>, places: Place<T>[]): void {
  const path = entry.match.path;
  if (path !== null && path.kind !== 'regex' && !path.value.startsWith('/')) throw new RouteError(entry.name, '/match/path', 'invalid-path', 'a path starts with /');
  const template = path?.kind === 'template' ? templateOf(entry.name, path.value) : null;
  const regex = path?.kind === 'regex' ? routeRegex(path.value, { route: entry.name, pointer: '/match/path' }) : null;
  const names = template?.names ?? regex?.groupNames ?? none;
  const compiled = compileConditions(entry.name, entry.match);
  const conditions = compiled.length === 0 ? noConditions : compiled;
  const pathNames = names.length === 0 ? none : Object.freeze([...names]);
  const toIndex = pathToIndex(entry.match);
  for (const host of entry.match.hosts.length === 0 ? anyHost : entry.match.hosts) {
    places.push({ host, key: orderKey(entry, host), path: toIndex, candidate: { value: entry.value, pathNames, pathValues: none, rank: 0, conditions, template, regex, next: null } });
  }
}

function templateOf(route: string, text: string): PathTemplate {
  const template = parsePathTemplate(text);
  if (typeof template === 'string') throw new RouteError(route, '/match/path/template', 'invalid-template', template);
  return template;
}

function countRegexes(match: RouteMatch): number {
  let count = match.path?.kind === 'regex' ? 1 : 0;
  for (const tests of [match.headers, match.query, match.cookies]) {
    for (const test of tests) if (test.kind === 'regex') count += 1;
  }
  return count;
}

function insert<T>(index: PathIndex<T>, path: IndexPath, candidate: RouteCandidate<T>): void {
  index.rankMin = Math.min(index.rankMin, candidate.rank);
  switch (path.kind) {
    case 'none': index.addAny(candidate); break;
    case 'exact': index.addExact(path.value, candidate); break;
    case 'prefix': index.addPrefix(path.value, candidate); break;
    case 'built':
      if (candidate.template !== null) index.addTemplate(candidate.template, candidate);
      if (candidate.regex !== null) index.addRegex(candidate.regex, candidate);
      break;
  }
}

type IndexPath = { readonly kind: 'none' | 'built' } | { readonly kind: 'exact' | 'prefix'; readonly value: string };

/** A gRPC match without a path is looked up by the path that it stands for. */
function pathToIndex(match: RouteMatch): IndexPath {
  const { path, grpc } = match;
  if (path?.kind === 'exact') return { kind: 'exact', value: path.value };
  if (path?.kind === 'prefix') return { kind: 'prefix', value: path.value.replace(/\/$/, '') };
  if (path !== null) return { kind: 'built' };
  if (grpc === null || grpc.service === '') return { kind: 'none' };
  return grpc.method === '' ? { kind: 'prefix', value: `/${grpc.service}` } : { kind: 'exact', value: `/${grpc.service}/${grpc.method}` };
}

/** Paths by host: exact names, suffixes, any. */
class HostIndex<T> {
  readonly #exact = new Map<string, PathIndex<T>>();
  readonly #suffixes = new Map<string, PathIndex<T>>();
  readonly #any = new PathIndex<T>();
  #suffixLengthMax = 0;
  /** The same few hosts come again and again: the answer for the last one is kept. */
  #lastAuthority: string | null = null;
  #lastIndexes: readonly PathIndex<T>[] = [];

  paths(host: string): PathIndex<T> {
    if (host === '') return this.#any;
    const suffix = host.startsWith('*.');
    if (suffix) this.#suffixLengthMax = Math.max(this.#suffixLengthMax, host.length - 1);
    const map = suffix ? this.#suffixes : this.#exact;
    const key = suffix ? host.slice(1) : host;
    let index = map.get(key);
    if (index === undefined) {
      index = new PathIndex<T>();
      map.set(key, index);
    }
    return index;
  }

  /** Indexes to be searched for an authority, the most specific first. */
  find(authority: string): readonly PathIndex<T>[] {
    if (authority === this.#lastAuthority) return this.#lastIndexes;
    const found: PathIndex<T>[] = [];
    const host = hostOf(authority);
    const exact = this.#exact.get(host);
    if (exact !== undefined) found.push(exact);
    if (this.#suffixLengthMax > 0) this.#findSuffixes(host, found);
    if (this.#any.rankMin !== Number.POSITIVE_INFINITY) found.push(this.#any);
    this.#lastAuthority = authority;
    this.#lastIndexes = found;
    return found;
  }

  #findSuffixes(host: string, found: PathIndex<T>[]): void {
    let dot = host.indexOf('.', Math.max(1, host.length - this.#suffixLengthMax));
    for (; dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const index = this.#suffixes.get(host.slice(dot));
      if (index !== undefined) found.push(index);
    }
  }
}

class Table<T> implements RouteTable<T> {
  readonly size: number;
  readonly #hosts: HostIndex<T>;
  readonly #search: Search<T> = { best: null, rank: 0, undecided: false, hits: [] };

  constructor(size: number, hosts: HostIndex<T>) {
    this.size = size;
    this.#hosts = hosts;
  }

  match(head: Head): RouteHit<T> | typeof undecided | null {
    const search = this.#search;
    search.best = null;
    search.rank = Number.POSITIVE_INFINITY;
    search.undecided = false;
    for (const index of this.#hosts.find(head.authority)) {
      if (index.rankMin < search.rank) index.search(head, search);
    }
    if (search.undecided) return undecided;
    const best = search.best as RouteCandidate<T> | null;
    if (best === null) return null;
    search.best = null;
    return best.pathNames.length === 0 ? best : capture(best, head.path);
  }
}

function capture<T>(best: RouteCandidate<T>, path: string): RouteHit<T> {
  const { value, pathNames } = best;
  const pathValues = best.template !== null ? captureTemplate(best.template, path) : (best.regex?.capture(path) ?? none);
  return { value, pathNames, pathValues };
}
