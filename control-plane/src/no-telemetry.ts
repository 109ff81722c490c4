import type { TelemetryHub, Traffic } from './telemetry/telemetry-hub.ts';

const silence: Traffic = { requests: 0, perSecond: 0, errors: 0, errorShare: 0, statusClasses: [0, 0, 0, 0, 0, 0], codes: {}, p50Ms: 0, p90Ms: 0, p99Ms: 0, maxMs: 0, bytesIn: 0, bytesOut: 0, retries: 0, active: 0 };

/** Takes reports and keeps nothing. */
export function createNoTelemetry(): TelemetryHub {
  return {
    ingest: () => null,
    summary: () => ({ windowMs: 0, total: silence, routes: [], instances: [], edges: [], refusals: [], shadow: [], series: [] }),
    top: () => [],
    refusals: () => [],
    events: () => [],
    reporters: () => [],
    sizes: () => ({ series: 0, seriesMax: 0, overflowedSeries: 0, refusals: 0, batches: 0, rejectedBatches: 0 }),
    close: () => {},
  };
}
