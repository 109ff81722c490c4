import { grpcCodeLabel } from '@remora/http/grpc-status';
import { quantileMs, upperBoundMs } from '@remora/telemetry/histogram';
import type { RefusalCount, Traffic } from './telemetry-hub.ts';
import type { ReasonCatalogue } from './reason-catalogue.ts';
import { errorsOf, type TrafficCounts } from './traffic-counts.ts';

/** Counts as people and programs read them. */
export function trafficReport(counts: TrafficCounts, windowMs: number, active: number): Traffic {
  const requests = Math.round(counts.requests);
  const errors = Math.round(errorsOf(counts));
  const maxMs = counts.maxMs > 0 ? counts.maxMs : highestBoundMs(counts.latency);
  const codes: Record<string, number> = {};
  for (const [status, count] of [...counts.codes].sort(([a], [b]) => a - b)) codes[status] = Math.round(count);
  const grpcCodes: Record<string, number> = {};
  for (const [code, count] of [...counts.grpcCodes].sort(([a], [b]) => a - b)) if (Math.round(count) > 0) grpcCodes[grpcCodeLabel(code)] = Math.round(count);
  return {
    requests,
    perSecond: windowMs > 0 ? round(counts.requests / (windowMs / 1_000)) : 0,
    errors,
    errorShare: counts.requests > 0 ? round(errorsOf(counts) / counts.requests) : 0,
    statusClasses: [...counts.classes].map(Math.round),
    codes,
    grpcCodes,
    p50Ms: round(quantileMs(counts.latency, 0.5, maxMs)),
    p90Ms: round(quantileMs(counts.latency, 0.9, maxMs)),
    p99Ms: round(quantileMs(counts.latency, 0.99, maxMs)),
    maxMs: round(maxMs),
    bytesIn: Math.round(counts.bytesIn),
    bytesOut: Math.round(counts.bytesOut),
    retries: Math.round(counts.retries),
    active,
  };
}

/** Enforced and shadow verdicts apart, most first. */
export function refusalReport(counts: TrafficCounts, reasons: ReasonCatalogue): { refusals: RefusalCount[]; shadow: RefusalCount[] } {
  const refusals: RefusalCount[] = [];
  const shadow: RefusalCount[] = [];
  for (const [id, count] of counts.reasons) {
    const { reason, kind, policy, shadow: isShadow } = reasons.get(id);
    if (Math.round(count) > 0) (isShadow ? shadow : refusals).push({ reason, kind, policy, count: Math.round(count) });
  }
  const byCount = (a: RefusalCount, b: RefusalCount): number => b.count - a.count || (a.reason < b.reason ? -1 : 1);
  return { refusals: refusals.sort(byCount), shadow: shadow.sort(byCount) };
}

/** Requests that were refused, shadow aside. */
export function refusedOf(counts: TrafficCounts, reasons: ReasonCatalogue): number {
  let refused = 0;
  for (const [id, count] of counts.reasons) if (!reasons.get(id).shadow) refused += count;
  return Math.round(refused);
}

function highestBoundMs(latency: Float64Array): number {
  for (let i = latency.length - 1; i >= 0; i--) if ((latency[i] ?? 0) > 0) return upperBoundMs(i);
  return 0;
}

/** Three digits behind the point are more than the histogram knows. */
function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
