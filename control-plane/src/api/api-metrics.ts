import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Store } from '../store/store.ts';
import type { WritePath } from '../write/write-path.ts';
import type { OpenTaps } from './open-taps.ts';

export interface ApiMetrics {
  observe(seen: { readonly route: string; readonly method: string; readonly status: number; readonly ms: number }): void;
}

/** What the API, the store and the write path tell Prometheus. Labels come from closed sets. */
export function createApiMetrics(registry: Registry, ports: { readonly store: Store; readonly writePath: WritePath; readonly listeners: () => number; readonly taps: OpenTaps }): ApiMetrics {
  const requests = new Counter({ name: 'remora_cp_api_requests_total', help: 'Requests to the API', labelNames: ['method', 'route', 'status'], registers: [registry] });
  const duration = new Histogram({ name: 'remora_cp_api_request_seconds', help: 'Time to answer', labelNames: ['method'], buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10], registers: [registry] });
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({ name, help, registers: [registry], collect() { this.set(read()); } });
  gauge('remora_cp_head_index', 'Newest place in the log', () => ports.store.head().index);
  gauge('remora_cp_head_epoch', 'Epoch of the log', () => ports.store.head().epoch);
  gauge('remora_cp_retained_from_index', 'Oldest revision that is kept', () => ports.store.retainedFrom());
  gauge('remora_cp_documents', 'Documents in force', () => ports.store.documents().size);
  gauge('remora_cp_writes_waiting', 'Writes that wait or run', () => ports.writePath.depth());
  gauge('remora_cp_event_listeners', 'Listeners to /v1/events', ports.listeners);
  gauge('remora_cp_taps_open', 'People who look at requests as they end (`remora tap`); at most 16', () => ports.taps.open);
  const skipped = new Counter({ name: 'remora_cp_tap_skipped_requests_total', help: 'Requests that a tap did not show: who reads it is slow, or a sidecar had no room for them', registers: [registry], collect() {
    skipped.reset();
    skipped.inc(ports.taps.skipped);
  } });
  gauge('remora_cp_ready', '1 where the state is loaded and published', () => (ports.writePath.state().kind === 'ready' ? 1 : 0));
  gauge('remora_cp_contradictions', 'Contradictions among stored documents that an older build took: enforced as before, `/readyz` lists them', () => {
    const state = ports.writePath.state();
    return state.kind === 'ready' ? state.planned.contradictions.size : 0;
  });
  const stalls = monitorEventLoopDelay({ resolution: 10 });
  stalls.enable();
  gauge('remora_cp_longest_stall_seconds', 'Longest stall of the event loop since the last scrape', () => {
    const seconds = stalls.max / 1e9;
    stalls.reset();
    return Number.isFinite(seconds) && seconds > 0 ? seconds : 0;
  });
  return {
    observe({ route, method, status, ms }) {
      requests.inc({ method, route: route === '' ? 'unknown' : route, status: String(status) });
      duration.observe({ method }, ms / 1_000);
    },
  };
}
