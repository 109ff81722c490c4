import type { SeriesIdentity } from './series-catalogue.ts';
import type { TopQuery, TopRow } from './telemetry-hub.ts';
import { coveredMs, Grouping, slotsOf, type TrafficSource } from './telemetry-summary.ts';
import { refusedOf, trafficReport } from './traffic-report.ts';

/** The busiest subjects, routes, edges or sidecars of a window. */
export function listTop(query: TopQuery, source: TrafficSource): TopRow[] {
  const slots = slotsOf(query.windowMs);
  const windowMs = coveredMs(source, slots);
  const groups = new Grouping(source);
  const counted = (id: number): boolean => {
    const identity = source.series.identity(id);
    return identity !== undefined && nameOf(query.by, identity) !== null;
  };
  for (const { row, share } of source.history.window(source.nowMs, slots, counted)) {
    const identity = source.series.identity(row.series);
    const name = identity && nameOf(query.by, identity);
    if (name) groups.add([name], row.series, row.counts, share);
  }
  const rows = [...groups.all()].map(({ words: [name = ''], counts, active }): TopRow => ({ name, refused: refusedOf(counts, source.reasons), ...trafficReport(counts, windowMs, active) }));
  return rows.sort(orderOf(query.sort ?? 'requests')).slice(0, Math.min(query.limit ?? 20, 1_000));
}

/** Null where the series is not of that kind: each request counts once. */
function nameOf(by: TopQuery['by'], { nodeId, subject, side, route, destination }: SeriesIdentity): string | null {
  switch (by) {
    case 'subject': return side === 'outbound' ? null : subject;
    case 'route': return side === 'outbound' ? null : `${subject}/${route === '' ? '(default)' : route}`;
    case 'edge': return side === 'inbound' || destination === '' ? null : `${subject} → ${destination}`;
    case 'sidecar': return side === 'outbound' ? null : nodeId;
  }
}

function orderOf(sort: NonNullable<TopQuery['sort']>): (a: TopRow, b: TopRow) => number {
  const value = (row: TopRow): number => (sort === 'requests' ? row.requests : sort === 'errors' ? row.errors : row.p99Ms);
  return (a, b) => value(b) - value(a) || (a.name < b.name ? -1 : 1);
}
