import type { ReasonCatalogue } from './reason-catalogue.ts';
import type { SeriesCatalogue, SeriesIdentity } from './series-catalogue.ts';
import type { TelemetryQuery, TelemetrySummary } from './telemetry-hub.ts';
import { addTraffic, createTrafficCounts, errorsOf, type TrafficCounts } from './traffic-counts.ts';
import { slotMs, slotsKept, type TrafficHistory } from './traffic-history.ts';
import { refusalReport, refusedOf, trafficReport } from './traffic-report.ts';

/** What queries read. */
export interface TrafficSource {
  readonly series: SeriesCatalogue;
  readonly reasons: ReasonCatalogue;
  readonly history: TrafficHistory;
  readonly nowMs: number;
  readonly wallMs: number;
}

/** A report that is older than this says nothing of requests in progress. */
export const activeFreshMs = 30_000;
const rowsMax = 1_000;

interface Point {
  requests: number;
  errors: number;
  refused: number;
}

/** Totals over a window, by route, instance and edge. */
export function summarize(query: TelemetryQuery, source: TrafficSource): TelemetrySummary {
  const slots = slotsOf(query.windowMs);
  const windowMs = coveredMs(source, slots);
  const total = createTrafficCounts();
  const routes = new Grouping(source);
  const instances = new Grouping(source);
  const edges = new Grouping(source);
  const points: Point[] = Array.from({ length: Math.ceil(windowMs / slotMs) }, () => ({ requests: 0, errors: 0, refused: 0 }));
  const isTotal = totalFilter(query);
  const isEdge = edgeFilter(query);
  const wanted = new Map<number, { total: boolean; edge: boolean }>();
  const classify = (id: number): { total: boolean; edge: boolean } => {
    let known = wanted.get(id);
    if (!known) {
      const identity = source.series.identity(id);
      known = identity ? { total: isTotal(identity), edge: isEdge(identity) } : { total: false, edge: false };
      wanted.set(id, known);
    }
    return known;
  };
  for (const { row, share, age } of source.history.window(source.nowMs, slots, (id) => classify(id).total || classify(id).edge)) {
    const identity = source.series.identity(row.series);
    if (!identity) continue;
    const { total: inTotal, edge } = classify(row.series);
    if (edge) edges.add([identity.subject, `service/${identity.destination}`], row.series, row.counts, share);
    if (!inTotal) continue;
    addTraffic(total, row.counts, share);
    routes.add([identity.subject, identity.route], row.series, row.counts, share);
    instances.add([identity.nodeId, identity.subject], row.series, row.counts, share);
    addPoints(points, row.counts, row.span, age, source.reasons);
  }
  return {
    windowMs,
    total: trafficReport(total, windowMs, routes.active()),
    routes: routes.reports(windowMs, ([subject = '', route = '']) => ({ subject, route })),
    instances: instances.reports(windowMs, ([nodeId = '', subject = '']) => ({ nodeId, subject })),
    edges: edges.reports(windowMs, ([caller = '', service = '']) => ({ caller, service: service.slice('service/'.length) })),
    ...refusalReport(total, source.reasons),
    series: pointReport(points, source.wallMs),
  };
}

/** Rows added up under a key of several words. */
export class Grouping {
  readonly #source: TrafficSource;
  readonly #groups = new Map<string, { readonly words: readonly string[]; readonly counts: TrafficCounts; readonly ids: Set<number> }>();

  constructor(source: TrafficSource) {
    this.#source = source;
  }

  add(words: readonly string[], id: number, counts: TrafficCounts, share: number): void {
    const key = JSON.stringify(words);
    let group = this.#groups.get(key);
    if (!group) {
      group = { words, counts: createTrafficCounts(), ids: new Set() };
      this.#groups.set(key, group);
    }
    group.ids.add(id);
    addTraffic(group.counts, counts, share);
  }

  *all(): IterableIterator<{ readonly words: readonly string[]; readonly counts: TrafficCounts; readonly active: number }> {
    for (const { words, counts, ids } of this.#groups.values()) yield { words, counts, active: this.#activeOf(ids) };
  }

  active(): number {
    let active = 0;
    for (const { ids } of this.#groups.values()) active += this.#activeOf(ids);
    return active;
  }

  /** Most requests first, at most 1,000. */
  reports<Name extends object>(windowMs: number, name: (words: readonly string[]) => Name): (ReturnType<typeof trafficReport> & Name)[] {
    const all = [...this.all()].sort((a, b) => b.counts.requests - a.counts.requests || (a.words.join() < b.words.join() ? -1 : 1));
    return all.slice(0, rowsMax).map(({ words, counts, active }) => ({ ...name(words), ...trafficReport(counts, windowMs, active) }));
  }

  #activeOf(ids: ReadonlySet<number>): number {
    let active = 0;
    for (const id of ids) active += this.#source.series.active(id, this.#source.nowMs, activeFreshMs);
    return active;
  }
}

/** Slots of a window: 10 s to 1 h, default 60 s. */
export function slotsOf(windowMs = 60_000): number {
  return Math.min(slotsKept, Math.max(1, Math.ceil(windowMs / slotMs)));
}

/** How much of the window is known: at least a second, so that rates mean something. */
export function coveredMs(source: TrafficSource, slots: number): number {
  const inOpenSlot = source.nowMs % slotMs;
  return Math.max(1_000, Math.min((slots - 1) * slotMs + inOpenSlot, source.history.coveredMs(source.nowMs)));
}

/** What counts once: the side that the question is about. */
function totalFilter(query: TelemetryQuery): (identity: SeriesIdentity) => boolean {
  const { service, gateway, route, nodeId, caller } = query;
  return (identity) => {
    if (nodeId !== undefined && identity.nodeId !== nodeId) return false;
    if (route !== undefined && identity.route !== route) return false;
    if (caller !== undefined) return identity.subject === caller && identity.side !== 'inbound' && (service === undefined || identity.destination === service);
    if (gateway !== undefined) return identity.subject === `gateway/${gateway}` && identity.side === 'gateway' && (service === undefined || identity.destination === service);
    if (service !== undefined) return identity.subject === `service/${service}` && identity.side === 'inbound';
    return identity.side !== 'outbound';
  };
}

function edgeFilter(query: TelemetryQuery): (identity: SeriesIdentity) => boolean {
  const { service, gateway, caller } = query;
  const from = caller ?? (gateway === undefined ? undefined : `gateway/${gateway}`);
  return (identity) => identity.side !== 'inbound' && identity.destination !== '' && (from === undefined || identity.subject === from) && (service === undefined || identity.destination === service);
}

function addPoints(points: Point[], counts: TrafficCounts, span: number, age: number, reasons: ReasonCatalogue): void {
  const refused = refusedOf(counts, reasons);
  for (let i = 0; i < span; i++) {
    const point = points[points.length - 1 - age - i];
    if (!point) return;
    point.requests += counts.requests / span;
    point.errors += errorsOf(counts) / span;
    point.refused += refused / span;
  }
}

function pointReport(points: readonly Point[], wallMs: number): TelemetrySummary['series'] {
  return points.map(({ requests, errors, refused }, i) => ({
    at: new Date(wallMs - (points.length - 1 - i) * slotMs).toISOString(), requests: Math.round(requests), errors: Math.round(errors), refused: Math.round(refused),
  }));
}
