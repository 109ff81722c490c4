import { createHistogram, mergeHistogram } from '@remora/telemetry/histogram';
import type { SeriesReading } from '../threads/data-plane.ts';

export const seriesMax = 1_000;
export const overflowRoute = '_overflow';

/**
 * At most `limit` series: the first come first kept, whatever is beyond is added up per side under the route
 * `_overflow`. Nothing is lost from the sums: series of Routes that are gone stand last, and are left out there, for they were told before and
 * do not change.
 */
export function boundSeries(readings: readonly SeriesReading[], limit = seriesMax): readonly SeriesReading[] {
  if (readings.length <= limit) return readings;
  const kept = readings.slice(0, limit);
  const overflow = new Map<string, SeriesReading[]>();
  for (const reading of readings.slice(limit)) {
    if (reading.retired === true) continue;
    const list = overflow.get(reading.side);
    if (list) list.push(reading);
    else overflow.set(reading.side, [reading]);
  }
  return [...kept, ...[...overflow].map(([side, list]) => addUp(side, list))];
}

function addUp(side: string, readings: readonly SeriesReading[]): SeriesReading {
  const latency = createHistogram();
  const statusClasses = [0, 0, 0, 0, 0, 0];
  const codes = new Map<number, number>();
  const grpcCodes: number[] = [];
  const refusals = new Map<string, SeriesReading['refusals'][number]>();
  const sum = { requests: 0, bytesIn: 0, bytesOut: 0, retries: 0, active: 0 };
  const tunnels = { opened: 0, active: 0, messagesIn: 0, messagesOut: 0 };
  for (const reading of readings) {
    mergeHistogram(latency, reading.latency);
    for (const [i, count] of reading.statusClasses.entries()) statusClasses[i] = (statusClasses[i] ?? 0) + count;
    for (const [code, count] of reading.grpcCodes.entries()) grpcCodes[code] = (grpcCodes[code] ?? 0) + count;
    for (const [code, count] of reading.codes) codes.set(code, (codes.get(code) ?? 0) + count);
    for (const each of reading.refusals) {
      const key = JSON.stringify([each.reason, each.kind, each.policy, each.shadow]);
      refusals.set(key, { ...each, count: each.count + (refusals.get(key)?.count ?? 0) });
    }
    sum.requests += reading.requests;
    sum.bytesIn += reading.bytesIn;
    sum.bytesOut += reading.bytesOut;
    sum.retries += reading.retries;
    sum.active += reading.active;
    tunnels.opened += reading.tunnels.opened;
    tunnels.active += reading.tunnels.active;
    tunnels.messagesIn += reading.tunnels.messagesIn;
    tunnels.messagesOut += reading.tunnels.messagesOut;
  }
  const { counts } = latency;
  return {
    side, route: overflowRoute, destination: '', target: '', ...sum, statusClasses, codes, grpcCodes, refusals: [...refusals.values()],
    latency: { counts: [...counts], sum: latency.sum, max: latency.max }, tunnels,
  };
}
