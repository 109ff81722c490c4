import type { Violation } from '@remora/core/violation';
import type { RouteDocument } from '@remora/model/route-schema';
import { canonicalMatch } from '@remora/router/canonical-match';
import type { RouteMatch } from '@remora/router/match';
import { compareRoutes } from '@remora/router/route-order';
import type { OrderedRoute } from '@remora/router/route-order';
import { shadows } from '@remora/router/shadows';
import { routerMatch } from './router-match.ts';

interface Analysed extends OrderedRoute {
  readonly match: RouteMatch;
  /** Ports or listeners; empty: all. */
  readonly ports: readonly string[];
  /** Equal for matches that mean the same. */
  readonly canonical: string;
  /** Paths and hosts alone: within one group the natural order may put the wider first. */
  readonly group: string;
}

/**
 * Pairs compared for one owner. Beyond it the rest is not looked at: an unreachable Route is a mistake to be told, never a
 * danger.
 */
const comparisonsMax = 2_000_000;

/** Routes of one owner that can never be reached, and those that match the same with the same priority. */
export function reachProblems(routes: readonly RouteDocument[]): Violation[] {
  const analysed = routes.map(analyse).sort(compareRoutes);
  const found: Violation[] = [];
  const twins = twinsAmong(analysed, found);
  let comparisons = 0;
  const groups = new Map<string, Analysed[]>();
  /** Routes that stand before others only because of their priority. */
  const lifted: Analysed[] = [];
  const lowest = analysed.at(-1)?.priority ?? 0;
  for (const route of analysed) {
    const group = groups.get(route.group) ?? [];
    const candidates = route.priority === analysed[0]?.priority ? group : [...group, ...lifted.filter(({ priority }) => priority > route.priority)];
    comparisons += candidates.length;
    if (comparisons > comparisonsMax) break;
    const wider = twins.has(route.name) ? undefined : candidates.find((other) => coversPorts(other, route) && shadows(other, route));
    if (wider !== undefined) found.push(unreachable(route, wider));
    group.push(route);
    groups.set(route.group, group);
    if (route.priority > lowest) lifted.push(route);
  }
  return found;
}

function analyse(route: RouteDocument): Analysed {
  const match = routerMatch(route.match);
  return {
    name: route.name, priority: route.priority ?? 0, match, ports: route.ports ?? route.listeners ?? [],
    canonical: canonicalMatch(match), group: match.path === null ? '' : `${match.path.kind} ${match.path.value}`,
  };
}

function twinsAmong(routes: readonly Analysed[], found: Violation[]): ReadonlySet<string> {
  const twins = new Set<string>();
  const seen = new Map<string, Analysed[]>();
  for (const route of routes) {
    const key = `${route.priority} ${route.canonical}`;
    const others = seen.get(key) ?? [];
    const other = others.find((one) => sharesPort(one, route));
    if (other !== undefined) {
      twins.add(route.name);
      found.push({
        document: `Route/${route.name}`, pointer: '/match', code: 'same-match',
        message: `Route/${other.name} matches exactly the same with the same priority ${route.priority}`, expected: 'another match, or another priority',
      });
    }
    others.push(route);
    seen.set(key, others);
  }
  return twins;
}

function unreachable(route: Analysed, wider: Analysed): Violation {
  const why = wider.priority > route.priority ? `has the higher priority ${wider.priority}` : 'comes first';
  return {
    document: `Route/${route.name}`, pointer: '/match', code: 'unreachable-route',
    message: `can never be reached: Route/${wider.name} ${why} and matches everything that this one matches`, expected: `a match or priority that leaves something to it`,
  };
}

function coversPorts(outer: Analysed, inner: Analysed): boolean {
  return outer.ports.length === 0 || (inner.ports.length > 0 && inner.ports.every((port) => outer.ports.includes(port)));
}

function sharesPort(a: Analysed, b: Analysed): boolean {
  return a.ports.length === 0 || b.ports.length === 0 || a.ports.some((port) => b.ports.includes(port));
}
