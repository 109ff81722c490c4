import { grpcCodeLabel } from '@remora/http/grpc-status';
import { toPrometheusBuckets, prometheusBoundsMs, type Histogram } from '@remora/telemetry/histogram';
import { collectDefaultMetrics, Counter, Gauge, Registry, type Metric } from 'prom-client';
import type { RunningInstanceRegistry } from '../instances/create-instance-registry.ts';
import type { PushMetrics } from '../push/push-metrics.ts';
import type { PushHub } from '../push/push-hub.ts';
import type { FleetTotals } from './fleet-totals.ts';
import type { TelemetryHub } from './telemetry-hub.ts';

/** The control plane's own figures for Prometheus. Other parts may register theirs in `registry`. */
export interface ControlPlaneMetrics {
  readonly registry: Registry;
  readonly contentType: string;
  /** The page. */
  text(): Promise<string>;
}

export interface MetricsSources {
  readonly hub: Pick<PushHub, 'sidecars'> & { readonly metrics: PushMetrics };
  readonly instances: Pick<RunningInstanceRegistry, 'counts'>;
  readonly telemetry: Pick<TelemetryHub, 'sizes' | 'totals'>;
  /** Also memory, event-loop lag and garbage collection of this process. */
  readonly processMetrics: boolean;
}

export function createControlPlaneMetrics(sources: MetricsSources): ControlPlaneMetrics {
  const registry = new Registry();
  if (sources.processMetrics) collectDefaultMetrics({ register: registry });
  pushMetrics(registry, sources.hub.metrics);
  sidecarMetrics(registry, sources.hub);
  instanceMetrics(registry, sources.instances);
  telemetryMetrics(registry, sources.telemetry);
  fleetMetrics(registry, sources.telemetry.totals);
  return { registry, contentType: registry.contentType, text: () => registry.metrics() };
}

function pushMetrics(registry: Registry, metrics: PushMetrics): void {
  gauge(registry, 'remora_push_streams', 'Open Sync streams.', () => metrics.streams);
  gauge(registry, 'remora_push_item_waits', 'Questions that wait until keys, Secrets or revocations are in force; at most 256.', () => metrics.itemWaits);
  gauge(registry, 'remora_push_waiting_streams', 'Streams that wait for their turn of a fan-out.', () => metrics.waitingStreams);
  gauge(registry, 'remora_push_open_questions', 'Questions to sidecars without an answer yet.', () => metrics.openQuestions);
  counter(registry, 'remora_push_connects_total', 'Sync streams that were opened.', () => metrics.connectsTotal);
  counter(registry, 'remora_push_disconnects_total', 'Sync streams that ended.', () => metrics.disconnectsTotal);
  counter(registry, 'remora_push_messages_sent_total', 'Messages to sidecars.', () => metrics.messagesSentTotal);
  counter(registry, 'remora_push_bytes_sent_total', 'Bytes of messages to sidecars, before framing.', () => metrics.bytesSentTotal);
  labelled(registry, { name: 'remora_push_lane_messages_total', help: 'Messages of the two lanes, without heartbeats and questions.', labels: ['lane'] }, metrics.laneMessagesTotal);
  labelled(registry, { name: 'remora_push_lane_bytes_total', help: 'Bytes of the two lanes, without heartbeats and questions.', labels: ['lane'] }, metrics.laneBytesTotal);
  counter(registry, 'remora_push_aborts_total', 'Updates given up half-way for a newer one.', () => metrics.abortsTotal);
  counter(registry, 'remora_push_acks_total', 'Updates that sidecars confirmed.', () => metrics.acksTotal);
  counter(registry, 'remora_push_items_left_out_total', 'Items of the state lane that no sidecar could take: too many, too large, or badly named.', () => metrics.itemsLeftOutTotal);
  counter(registry, 'remora_push_stray_answers_total', 'Answers to nothing that was asked.', () => metrics.strayAnswersTotal);
  labelled(registry, { name: 'remora_push_updates_total', help: 'Updates that were started, by lane and kind.', labels: ['lane', 'kind'] }, metrics.pushesTotal);
  labelled(registry, { name: 'remora_push_nacks_total', help: 'Updates that sidecars refused, by lane and class.', labels: ['lane', 'class'] }, metrics.nacksTotal);
  labelled(registry, { name: 'remora_push_rejections_total', help: 'Streams that were turned away, by code.', labels: ['code'] }, metrics.rejectionsTotal);
  histogram(registry, 'remora_push_propagation_seconds', 'Commit of a log entry until a sidecar that had to change confirmed it.', () => [{ labels: {}, source: metrics.propagationMs }]);
  histogram(registry, 'remora_push_endpoint_propagation_seconds', 'Change of an endpoint set until a caller confirmed it.', () => [{ labels: {}, source: metrics.endpointPropagationMs }]);
}

function sidecarMetrics(registry: Registry, hub: Pick<PushHub, 'sidecars'>): void {
  const phases = new Gauge({
    name: 'remora_sidecars', help: 'Known sidecars by phase.', labelNames: ['phase'], registers: [registry],
    collect() {
      const counts = new Map<string, number>([['in-sync', 0], ['pending', 0], ['refused', 0], ['offline', 0], ['orphaned', 0], ['draining', 0]]);
      for (const { phase } of hub.sidecars()) counts.set(phase, (counts.get(phase) ?? 0) + 1);
      for (const [phase, count] of counts) this.set({ phase }, count);
    },
  });
  phases.set({ phase: 'in-sync' }, 0);
}

function instanceMetrics(registry: Registry, instances: MetricsSources['instances']): void {
  gauge(registry, 'remora_instances', 'Instances with a lease.', () => instances.counts().leases);
  gauge(registry, 'remora_instances_suspect', 'Instances kept although their lease ended, because most of their service ended at once.', () => instances.counts().suspect);
  gauge(registry, 'remora_instances_draining', 'Instances that are leaving.', () => instances.counts().draining);
}

function telemetryMetrics(registry: Registry, telemetry: MetricsSources['telemetry']): void {
  gauge(registry, 'remora_telemetry_series', 'Series of the last hour.', () => telemetry.sizes().series);
  gauge(registry, 'remora_telemetry_history_bytes', 'Memory of the sealed slots of the last hour.', () => telemetry.sizes().historyBytes);
  gauge(registry, 'remora_telemetry_refusals', 'Refusals kept for why.', () => telemetry.sizes().refusals);
  counter(registry, 'remora_telemetry_batches_total', 'Batches of sidecars that were taken.', () => telemetry.sizes().batches);
  counter(registry, 'remora_telemetry_rejected_batches_total', 'Batches that could not be used.', () => telemetry.sizes().rejectedBatches);
  counter(registry, 'remora_telemetry_overflowed_series_total', 'Times a series fell into the overflow series.', () => telemetry.sizes().overflowedSeries);
  counter(registry, 'remora_telemetry_targets_left_out_total', 'Reports about targets of Routes that found no place among the 1,000 that are kept.', () => telemetry.sizes().targetsLeftOut);
  counter(registry, 'remora_telemetry_dropped_rows_total', 'Rows that found their slot full.', () => telemetry.sizes().droppedRows);
}

/** What sidecars reported, counted from the start of this process; per route and instance sidecars offer it themselves. */
function fleetMetrics(registry: Registry, totals: FleetTotals): void {
  const requests = new Counter({
    name: 'remora_fleet_requests_total', help: 'Requests that sidecars reported, as the side that saw them.', labelNames: ['subject', 'side', 'class'], registers: [registry],
    collect() {
      this.reset();
      for (const { subject, side, classes } of totals.subjects()) for (let i = 0; i < classes.length; i++) if ((classes[i] ?? 0) > 0) this.inc({ subject, side, class: i === 0 ? 'none' : `${i}xx` }, classes[i]);
    },
  });
  requests.reset();
  const calls = new Counter({
    name: 'remora_fleet_grpc_calls_total', help: 'Calls of gRPC and gRPC-Web that sidecars reported, by code; they are in `remora_fleet_requests_total` too.', labelNames: ['subject', 'side', 'code'], registers: [registry],
    collect() {
      this.reset();
      for (const { subject, side, grpcCodes } of totals.subjects()) for (const [code, count] of grpcCodes) this.inc({ subject, side, code: grpcCodeLabel(code) }, count);
    },
  });
  calls.reset();
  const refusals = new Counter({
    name: 'remora_fleet_refusals_total', help: 'Refusals that sidecars reported; shadow: verdicts of sections in shadow, whose requests passed.',
    labelNames: ['reason', 'kind', 'policy', 'shadow'], registers: [registry],
    collect() {
      this.reset();
      for (const { reason, kind, policy, shadow, count } of totals.refusals()) this.inc({ reason, kind, policy, shadow: String(shadow) }, count);
    },
  });
  refusals.reset();
  histogram(registry, 'remora_fleet_request_seconds', 'Time of requests that sidecars reported, by the side that saw them.', () => [...totals.latency()].map(([side, source]) => ({ labels: { side }, source })));
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  const metric = new Gauge({
    name, help, registers: [registry],
    collect() {
      this.set(read());
    },
  });
  metric.set(0);
}

/** Counted elsewhere: the page shows what stands there. */
function counter(registry: Registry, name: string, help: string, read: () => number): void {
  const metric = new Counter({
    name, help, registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
  metric.inc(0);
}

/** A counter whose labels stand in the key, separated by a slash. */
function labelled(registry: Registry, spec: { readonly name: string; readonly help: string; readonly labels: readonly string[] }, counts: ReadonlyMap<string, number>): void {
  const metric = new Counter({
    name: spec.name, help: spec.help, labelNames: [...spec.labels], registers: [registry],
    collect() {
      this.reset();
      for (const [key, count] of counts) {
        const words = key.split('/');
        this.inc(Object.fromEntries(spec.labels.map((label, i) => [label, words[i] ?? ''])), count);
      }
    },
  });
  metric.reset();
}

/** prom-client has no histogram with given counts: this is the shape that its registry reads. */
function histogram(registry: Registry, name: string, help: string, sources: () => readonly LabelledHistogram[]): void {
  const type = 'histogram';
  const metric = {
    name, help, type, aggregator: 'sum',
    get: () => Promise.resolve({ name, help, type, aggregator: 'sum', values: sources().flatMap((one) => samplesOf(name, one)) }),
    reset() {},
  };
  registry.registerMetric(metric as unknown as Metric);
}

interface LabelledHistogram {
  readonly labels: Readonly<Record<string, string>>;
  readonly source: Histogram;
}

function samplesOf(name: string, { labels, source }: LabelledHistogram): readonly { metricName: string; labels: Readonly<Record<string, string | number>>; value: number }[] {
  const cumulative = toPrometheusBuckets(source.counts);
  const count = cumulative.at(-1) ?? 0;
  return [
    ...prometheusBoundsMs.map((bound, i) => ({ metricName: `${name}_bucket`, labels: { ...labels, le: bound / 1_000 }, value: cumulative[i] ?? 0 })),
    { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, labels, value: source.sum / 1_000 },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
