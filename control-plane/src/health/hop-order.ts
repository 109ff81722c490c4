import type { StoredRefusal } from '../telemetry/telemetry-hub.ts';

/** What hops said of one request, the outermost first. */
export interface OrderedHop {
  readonly refusal: StoredRefusal;
  /** Place in the list of the hop whose call this one was, or whose call this one made; null for the outermost that is known. */
  readonly before: number | null;
}

/**
 * Brings what sidecars say of a request into the order in which it went: a call belongs to the request that came in at the same sidecar, a request that came in
 * to the call that tried this instance. What cannot be joined stands by itself, by time.
 */
export function orderHops(refusals: readonly StoredRefusal[]): OrderedHop[] {
  const parents = new Map(refusals.map((one) => [one, parentOf(one, refusals)]));
  const ordered: OrderedHop[] = [];
  const add = (one: StoredRefusal, before: number | null): void => {
    if (ordered.some(({ refusal }) => refusal === one)) return;
    const place = ordered.push({ refusal: one, before }) - 1;
    for (const child of byStart(refusals)) if (parents.get(child) === one) add(child, place);
  };
  for (const root of byStart(refusals)) if (parents.get(root) === null) add(root, null);
  // A request that came back to where it had been: loops have no first hop.
  for (const rest of byStart(refusals)) add(rest, null);
  return ordered;
}

/**
 * Index of the hop that decided: the innermost refusal, unless a hop before it had given up long before; else the innermost that an answer came from. Null where
 * there are only verdicts in shadow.
 */
export function decidingHop(hops: readonly OrderedHop[]): number | null {
  let best: number | null = null;
  hops.forEach((hop, i) => {
    if (weightOf(hop) < 0) return;
    const known = best === null ? null : hops[best] ?? null;
    if (known === null || compare(hop, known, hops) > 0) best = i;
  });
  return best === null ? null : earlierAncestor(best, hops);
}

/** Who waited less: what is behind it ended later, and for nobody. */
function earlierAncestor(decided: number, hops: readonly OrderedHop[]): number {
  let found = decided;
  const end = Date.parse(hops[decided]?.refusal.at ?? '');
  for (let at = hops[decided]?.before ?? null, steps = 0; at !== null && steps < hops.length; steps += 1) {
    const hop = hops[at] as OrderedHop;
    if (weightOf(hop) === 2 && Date.parse(hop.refusal.at) < end - longBeforeMs) found = at;
    at = hop.before;
  }
  return found;
}

/** More than clocks of a fleet usually differ. */
const longBeforeMs = 1_000;

function compare(a: OrderedHop, b: OrderedHop, hops: readonly OrderedHop[]): number {
  return weightOf(a) - weightOf(b) || depthOf(a, hops) - depthOf(b, hops) || (a.refusal.at < b.refusal.at ? -1 : 1);
}

/** Whose client went away, or that only passed something on, followed others. */
function weightOf({ refusal: { shadow, reason } }: OrderedHop): number {
  if (shadow) return -1;
  if (reason === '') return 0;
  return reason === 'downstream-reset' ? 1 : 2;
}

function depthOf(hop: OrderedHop, hops: readonly OrderedHop[]): number {
  let depth = 0;
  for (let at = hop.before; at !== null && depth <= hops.length; depth += 1) at = hops[at]?.before ?? null;
  return depth;
}

function parentOf(one: StoredRefusal, all: readonly StoredRefusal[]): StoredRefusal | null {
  const candidates = byStart(all).filter((other) => other !== one && !other.shadow);
  if (one.side === 'inbound') {
    // Clocks of two machines differ: here names join, not times.
    const tried = candidates.filter(({ side, chain }) => side !== 'inbound' && chain?.tries.some(({ endpoint }) => endpoint === one.nodeId || endpoint.startsWith(`${one.nodeId}/`)));
    const called = candidates.filter(({ side, destination }) => side !== 'inbound' && `service/${destination}` === one.subject);
    return tried.at(-1) ?? called.at(-1) ?? null;
  }
  return candidates.findLast((other) => other.side === 'inbound' && other.nodeId === one.nodeId && startOf(other) <= startOf(one)) ?? null;
}

function byStart(refusals: readonly StoredRefusal[]): StoredRefusal[] {
  return refusals.toSorted((a, b) => startOf(a) - startOf(b) || Date.parse(a.at) - Date.parse(b.at));
}

function startOf({ at, chain }: StoredRefusal): number {
  return Date.parse(chain?.startedAt ?? at);
}
