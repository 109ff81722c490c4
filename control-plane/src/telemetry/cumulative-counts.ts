import type { Series } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { bucketCount, fromProtoHistogram } from '@remora/telemetry/histogram';
import { createTrafficCounts, type TrafficCounts } from './traffic-counts.ts';
import type { ReasonCatalogue } from './reason-catalogue.ts';

const codesMax = 32;
const reasonsMax = 256;
const grpcCodesMax = 18;

/** A series as reported: sums since the sidecar's process started. */
export function readCumulative(series: Series, reasons: ReasonCatalogue): TrafficCounts {
  const counts = createTrafficCounts();
  counts.requests = Number(series.requests);
  for (let i = 0; i < 6; i++) counts.classes[i] = Number(series.statusClasses[i] ?? 0n);
  counts.bytesIn = Number(series.bytesIn);
  counts.bytesOut = Number(series.bytesOut);
  counts.retries = Number(series.retries);
  const latency = series.latencyMs ? fromProtoHistogram(series.latencyMs) : null;
  if (latency) {
    counts.latency.set(latency.counts);
    counts.sumMs = latency.sum;
    counts.maxMs = latency.max;
  }
  for (const { status, count } of series.codes.slice(0, codesMax)) if (status >= 0 && status <= 999) counts.codes.set(status, Number(count));
  for (const { status, count } of series.grpcCodes.slice(0, grpcCodesMax)) if (status < grpcCodesMax) counts.grpcCodes.set(status, Number(count));
  for (const { reason, kind, policy, shadow, count } of series.refusals.slice(0, reasonsMax)) {
    const id = reasons.idOf({ reason: reason.slice(0, 128), kind: kind.slice(0, 128), policy: policy.slice(0, 253), shadow });
    counts.reasons.set(id, (counts.reasons.get(id) ?? 0) + Number(count));
  }
  return counts;
}

/**
 * What happened between two readings of one process. A sum that went down means that counting began anew: then all of it is
 * new. The maximum is of the whole life of the process, so it only counts where it grew; otherwise the highest bucket with
 * something new bounds it.
 */
export function differenceOf(now: TrafficCounts, before: TrafficCounts | null): TrafficCounts {
  const base = before && now.requests >= before.requests ? before : null;
  const counts = createTrafficCounts();
  counts.requests = now.requests - (base?.requests ?? 0);
  for (let i = 0; i < 6; i++) counts.classes[i] = grown(now.classes[i], base?.classes[i]);
  counts.bytesIn = grown(now.bytesIn, base?.bytesIn);
  counts.bytesOut = grown(now.bytesOut, base?.bytesOut);
  counts.retries = grown(now.retries, base?.retries);
  counts.sumMs = grown(now.sumMs, base?.sumMs);
  for (let i = 0; i < bucketCount; i++) counts.latency[i] = grown(now.latency[i], base?.latency[i]);
  counts.maxMs = now.maxMs > (base?.maxMs ?? 0) ? now.maxMs : 0;
  for (const [status, count] of now.codes) addGrown(counts.codes, status, count, base?.codes.get(status));
  for (const [code, count] of now.grpcCodes) addGrown(counts.grpcCodes, code, count, base?.grpcCodes.get(code));
  for (const [reason, count] of now.reasons) addGrown(counts.reasons, reason, count, base?.reasons.get(reason));
  return counts;
}

/** Whether nothing happened: no row is kept of it. */
export function isEmpty(counts: TrafficCounts): boolean {
  return counts.requests === 0 && counts.reasons.size === 0 && counts.bytesIn === 0 && counts.bytesOut === 0 && counts.retries === 0;
}

function grown(now = 0, before = 0): number {
  return Math.max(0, now - before);
}

function addGrown(into: Map<number, number>, key: number, now: number, before = 0): void {
  if (now > before) into.set(key, now - before);
}
