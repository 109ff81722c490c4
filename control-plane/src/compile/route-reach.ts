import type { Steps } from '@remora/core/steps';
import type { Violation } from '@remora/core/violation';
import type { RouteDocument } from '@remora/model/route-schema';
import { canonicalMatch } from '@remora/router/canonical-match';
import { compareKeys, orderKey } from '@remora/router/route-order';
import type { OrderedRoute, OrderKey } from '@remora/router/route-order';
import { shadows } from '@remora/router/shadows';
import { routerMatch } from './router-match.ts';

interface Analysed extends OrderedRoute {
  /** Ports or listeners; empty: all. */
  readonly ports: readonly string[];
  /** Of the host under which it stands first. */
  readonly key: OrderKey;
  /** Equal for matches that mean the same. */
  readonly canonical: string;
  /** Each host with the path: only where both are the same can the natural order put the wider before the narrower. */
  readonly groups: readonly string[];
}

/**
 * Pairs compared for one owner. Beyond it the rest is not looked at: an unreachable Route is a mistake to be told, never a
 * danger.
 */
const comparisonsMax = 2_000_000;

const routesPerStep = 256;
const comparisonsPerStep = 2_048;

const analysedRoutes = new WeakMap<RouteDocument, Analysed>();

/**
 * Routes of one owner that can never be reached, and those that match the same with the same priority. With `changed`, only
 * pairs with one of these: the others were looked at before.
 */
export function* reachProblems(routes: readonly RouteDocument[], changed: ReadonlySet<string> | null = null): Steps<Violation[]> {
  const analysed: Analysed[] = [];
  for (const route of routes) {
    analysed.push(analyse(route));
    if (analysed.length % routesPerStep === 0) yield;
  }
  const found: Violation[] = [];
  const twins = yield* twinsAmong(analysed, changed, found);
  const search = new ReachSearch(changed);
  yield* search.add(analysed);
  let looked = 0;
  let yieldedAt = 0;
  for (const route of analysed) {
    const work = search.comparisons + ++looked;
    if (work - yieldedAt > comparisonsPerStep) {
      yieldedAt = work;
      yield;
    }
    const wider = twins.has(route.name) ? undefined : search.wider(route);
    if (wider !== undefined) found.push(unreachable(route, wider));
    if (search.comparisons > comparisonsMax) break;
  }
  return found;
}

/** Finds for a Route one that comes first and matches all that it matches. */
class ReachSearch {
  comparisons = 0;
  readonly #changed: ReadonlySet<string> | null;
  readonly #groups = new Map<string, Analysed[]>();
  /** Routes that stand before others only because of their priority. */
  #lifted: readonly Analysed[] = [];

  constructor(changed: ReadonlySet<string> | null) {
    this.#changed = changed;
  }

  /** All of them, once. */
  *add(routes: readonly Analysed[]): Steps<void> {
    let lowest = Number.POSITIVE_INFINITY;
    let added = 0;
    for (const route of routes) {
      if (++added % routesPerStep === 0) yield;
      lowest = Math.min(lowest, route.priority);
      for (const name of route.groups) {
        const group = this.#groups.get(name);
        if (group) group.push(route);
        else this.#groups.set(name, [route]);
      }
    }
    this.#lifted = routes.filter(({ priority }) => priority > lowest);
  }

  wider(route: Analysed): Analysed | undefined {
    const samePlace = this.#first(this.#groups.get(route.groups[0] ?? '') ?? [], route);
    return samePlace ?? this.#first(this.#lifted, route, (other) => other.priority > route.priority);
  }

  #first(candidates: readonly Analysed[], route: Analysed, worth?: (other: Analysed) => boolean): Analysed | undefined {
    const changed = this.#changed;
    const mine = changed === null || changed.has(route.name);
    let best: Analysed | undefined;
    for (const other of candidates) {
      if (other === route || !(mine || changed.has(other.name)) || (worth && !worth(other))) continue;
      this.comparisons++;
      if (coversPorts(other, route) && shadows(other, route) && (best === undefined || compareKeys(other.key, best.key) < 0)) best = other;
    }
    return best;
  }
}

function analyse(route: RouteDocument): Analysed {
  const known = analysedRoutes.get(route);
  if (known) return known;
  const match = routerMatch(route.match);
  const ordered: OrderedRoute = { name: route.name, priority: route.priority ?? 0, match };
  const hosts = match.hosts.length === 0 ? [''] : match.hosts;
  const made: Analysed = {
    ...ordered, ports: route.ports ?? route.listeners ?? [],
    key: hosts.map((host) => orderKey(ordered, host)).reduce((best, key) => (compareKeys(key, best) < 0 ? key : best)),
    canonical: canonicalMatch(match), groups: hosts.map((host) => (match.path === null ? host : `${host} ${match.path.kind} ${match.path.value}`)),
  };
  analysedRoutes.set(route, made);
  return made;
}

/** The later by name is told. */
function* twinsAmong(routes: readonly Analysed[], changed: ReadonlySet<string> | null, found: Violation[]): Steps<ReadonlySet<string>> {
  const twins = new Set<string>();
  let looked = 0;
  const wanted = changed === null ? null : new Set<string>();
  for (const { name, canonical } of wanted === null ? [] : routes) {
    if (++looked % routesPerStep === 0) yield;
    if (changed?.has(name)) wanted?.add(canonical);
  }
  const seen = new Map<string, Analysed[]>();
  for (const route of routes) {
    if (++looked % routesPerStep === 0) yield;
    if (wanted !== null && !wanted.has(route.canonical)) continue;
    const others = seen.get(route.canonical) ?? [];
    const other = others.find((one) => one.priority === route.priority && sharesPort(one, route));
    if (other !== undefined) {
      twins.add(route.name);
      found.push({
        document: `Route/${route.name}`, pointer: '/match', code: 'same-match',
        message: `Route/${other.name} matches exactly the same with the same priority ${route.priority}`, expected: 'another match, or another priority',
      });
    }
    others.push(route);
    seen.set(route.canonical, others);
  }
  return twins;
}

function unreachable(route: Analysed, wider: Analysed): Violation {
  const why = wider.priority > route.priority ? `has the higher priority ${wider.priority}` : 'comes first';
  return {
    document: `Route/${route.name}`, pointer: '/match', code: 'unreachable-route',
    message: `can never be reached: Route/${wider.name} ${why} and matches everything that this one matches`, expected: 'a match or priority that leaves something to it',
  };
}

function coversPorts(outer: Analysed, inner: Analysed): boolean {
  return outer.ports.length === 0 || (inner.ports.length > 0 && inner.ports.every((port) => outer.ports.includes(port)));
}

function sharesPort(a: Analysed, b: Analysed): boolean {
  return a.ports.length === 0 || b.ports.length === 0 || a.ports.some((port) => b.ports.includes(port));
}
