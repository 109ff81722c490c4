import { bucketCount } from '@remora/telemetry/histogram';

/** Counts of requests over some time: of one series in one slot, or of many over an hour. */
export interface TrafficCounts {
  requests: number;
  /** Index 0: no status; 1 to 5: classes. */
  readonly classes: Float64Array;
  bytesIn: number;
  bytesOut: number;
  retries: number;
  sumMs: number;
  maxMs: number;
  readonly latency: Float64Array;
  /** By status. */
  readonly codes: Map<number, number>;
  /** By gRPC code; 17: codes that gRPC does not have. */
  readonly grpcCodes: Map<number, number>;
  /** By number of a ReasonCatalogue. */
  readonly reasons: Map<number, number>;
}

export function createTrafficCounts(): TrafficCounts {
  return {
    requests: 0, classes: new Float64Array(6), bytesIn: 0, bytesOut: 0, retries: 0, sumMs: 0, maxMs: 0,
    latency: new Float64Array(bucketCount), codes: new Map(), grpcCodes: new Map(), reasons: new Map(),
  };
}

/** Adds a share (0 to 1) of `source`. */
export function addTraffic(into: TrafficCounts, source: TrafficCounts, share = 1): void {
  into.requests += source.requests * share;
  for (let i = 0; i < 6; i++) into.classes[i] = (into.classes[i] ?? 0) + (source.classes[i] ?? 0) * share;
  into.bytesIn += source.bytesIn * share;
  into.bytesOut += source.bytesOut * share;
  into.retries += source.retries * share;
  into.sumMs += source.sumMs * share;
  if (source.maxMs > into.maxMs) into.maxMs = source.maxMs;
  for (let i = 0; i < bucketCount; i++) {
    const count = source.latency[i] ?? 0;
    if (count > 0) into.latency[i] = (into.latency[i] ?? 0) + count * share;
  }
  for (const [status, count] of source.codes) into.codes.set(status, (into.codes.get(status) ?? 0) + count * share);
  for (const [code, count] of source.grpcCodes) into.grpcCodes.set(code, (into.grpcCodes.get(code) ?? 0) + count * share);
  for (const [reason, count] of source.reasons) into.reasons.set(reason, (into.reasons.get(reason) ?? 0) + count * share);
}

/** 5xx, and requests that ended without a status. */
export function errorsOf(counts: TrafficCounts): number {
  return (counts.classes[0] ?? 0) + (counts.classes[5] ?? 0);
}
