import { prometheusBoundsMs, toPrometheusBuckets } from '@remora/telemetry/histogram';
import { grpcCodeLabel } from '@remora/http/grpc-status';
import type { Metric } from 'prom-client';
import type { ConfigStatus } from '../config/config-client.ts';
import type { HealthRecord } from '../health/health-record.ts';
import type { SeriesReading } from '../threads/data-plane.ts';
import { boundSeries } from '../telemetry/series-bound.ts';
import type { TelemetryStatus } from '../telemetry/telemetry-sender.ts';
import type { IssuerKeyStatus } from '../issuer-keys/issuer-key-keeper.ts';
import type { CertificateStatus } from '../tls/certificate-files.ts';
import { readConnections, readHeldBodies, readHttp2Windows, readUpstreamConnections, readUpstreamEvents, readUpstreamHandshakes } from './connection-metrics.ts';
import { edgeEventKinds, readContexts, readExpiry, readHandshakes, readHttp2Errors, readProblems, readProxyHeaders } from './tls-metrics.ts';

export interface MetricSources {
  readonly readSeries: () => readonly SeriesReading[];
  readonly configStatus: () => ConfigStatus;
  readonly telemetry: () => TelemetryStatus | null;
  readonly appReady: () => boolean;
  readonly rssBytes: () => number;
  readonly refusalCount: () => number;
  readonly health: () => Pick<HealthRecord, 'current' | 'dropped'>;
  /** What policy kinds counted, by `kind_event`. */
  readonly policyEvents: () => ReadonlyMap<string, number>;
  /** Data threads that died and were replaced. */
  readonly threadDeaths: () => number;
  /** What TLS uses of files. */
  readonly certificates: () => readonly CertificateStatus[];
  readonly issuerKeys: () => readonly IssuerKeyStatus[];
  /** Stage of overload, 0 to 3. */
  readonly overloadStage: () => number;
  /** Of requests, by what became of them; null where they are not recorded. */
  readonly spans: () => SpanCounts | null;
}

export interface SpanCounts {
  readonly exported: number;
  /** The buffer was full. */
  readonly dropped: number;
  /** The collector did not take them. */
  readonly failed: number;
}

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

type Read = (series: readonly SeriesReading[], sources: MetricSources) => Sample[];

interface MetricRow {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly read: Read;
}

const places = ({ side, route, destination, target }: SeriesReading): Record<'side' | 'route' | 'destination', string> & { target?: string } => ({ side, route, destination, ...(target !== '' && { target }) });
const perSeries = (value: (reading: SeriesReading) => number): Read => (series) => series.map((reading) => ({ value: value(reading), labels: places(reading) }));
const single = (value: (sources: MetricSources) => number): Read => (_series, sources) => [{ value: value(sources), labels: {} }];

/** Every metric of a sidecar; the page in docs and the dashboards go by these names. */
export const metricTable: readonly MetricRow[] = [
  { name: 'remora_requests_total', type: 'counter', help: 'Requests by class of their status; none where no answer was sent. A switch of protocols is 1xx, a TCP connection that was made 2xx.', read: readClasses },
  { name: 'remora_grpc_calls_total', type: 'counter', help: 'Calls of gRPC and gRPC-Web that ended with a code, by its name; `other` for codes that gRPC does not have. They are in `remora_requests_total` too.', read: readGrpcCodes },
  { name: 'remora_request_duration_milliseconds', type: 'histogram', help: 'From the request head to the end of the answer; of tunnels, to the switch or the connection.', read: readLatencies },
  { name: 'remora_refusals_total', type: 'counter', help: 'Requests that Remora refused or gave up on, by reason; shadow verdicts apart.', read: readRefusals },
  { name: 'remora_retries_total', type: 'counter', help: 'Attempts beyond the first.', read: perSeries((reading) => reading.retries) },
  { name: 'remora_policy_events_total', type: 'counter', help: 'What policy kinds count, by kind and event: see Metrics on the page of each; `failed`: its filter threw.', read: readPolicyEvents },
  { name: 'remora_received_bytes_total', type: 'counter', help: 'Body bytes of requests, and what clients sent through tunnels, as it passes.', read: perSeries((reading) => reading.bytesIn) },
  { name: 'remora_sent_bytes_total', type: 'counter', help: 'Body bytes of answers, and what clients got through tunnels, as it passes.', read: perSeries((reading) => reading.bytesOut) },
  { name: 'remora_active_requests', type: 'gauge', help: 'Requests in flight, open tunnels among them.', read: perSeries((reading) => reading.active) },
  { name: 'remora_tunnels_total', type: 'counter', help: 'WebSockets, other upgrades and TCP connections that were opened. How they ended: `remora_refusals_total`, where not by themselves.', read: perSeries((reading) => reading.tunnels.opened) },
  { name: 'remora_tunnels_active', type: 'gauge', help: 'Those that are open.', read: perSeries((reading) => reading.tunnels.active) },
  { name: 'remora_older_generations', type: 'gauge', help: 'Configurations that are kept because tunnels began on them, the current one not counted; summed over data threads, at most 15 each.', read: single((s) => s.policyEvents().get('generation_older') ?? 0) },
  { name: 'remora_tunnel_messages_total', type: 'counter', help: 'Messages of WebSockets by direction: `in` from clients, `out` to them. Control frames are none.', read: readMessages },
  { name: 'remora_config_version_index', type: 'gauge', help: 'Index of the version enforced; 0 for none.', read: single((s) => s.configStatus().applied?.version.index ?? 0) },
  { name: 'remora_config_version_epoch', type: 'gauge', help: 'Epoch of the version enforced; 0 for none.', read: single((s) => s.configStatus().applied?.version.epoch ?? 0) },
  { name: 'remora_config_persisted', type: 'gauge', help: '1 where a restart would find what is enforced.', read: single((s) => Number(s.configStatus().persisted)) },
  { name: 'remora_config_refused', type: 'gauge', help: '1 while the last update was refused.', read: single((s) => Number(s.configStatus().lastRefusal !== null)) },
  { name: 'remora_control_plane_connected', type: 'gauge', help: '1 in contact with a control plane.', read: single((s) => Number(s.configStatus().link.connected)) },
  { name: 'remora_control_plane_stale_since_seconds', type: 'gauge', help: 'Unix time of the last contact while there is none; 0 in contact.', read: single((s) => s.configStatus().link.staleSinceMs / 1_000) },
  { name: 'remora_control_plane_connects_total', type: 'counter', help: 'Streams opened.', read: single((s) => s.configStatus().link.attempts) },
  { name: 'remora_control_plane_clock_offset_seconds', type: 'gauge', help: 'Clock of the control plane less that of this host, at its last heartbeat; 0 before the first.', read: single((s) => (s.configStatus().link.clockOffsetMs ?? 0) / 1_000) },
  { name: 'remora_state_items', type: 'gauge', help: 'Items of the state lane that are kept: roots of trust, revocations, secrets, consumers.', read: single((s) => s.configStatus().state.items) },
  { name: 'remora_state_item_bytes', type: 'gauge', help: 'Their bytes; at most 32 MiB.', read: single((s) => s.configStatus().state.itemBytes) },
  { name: 'remora_disk_alarm', type: 'gauge', help: '1 while the data directory cannot be written.', read: single((s) => Number(s.configStatus().diskAlarm !== null)) },
  { name: 'remora_app_ready', type: 'gauge', help: '1 while the app accepts connections, and is well where `healthCheck` says how to ask.', read: single((s) => Number(s.appReady())) },
  { name: 'remora_connections_total', type: 'counter', help: 'Connections of clients by side and protocol: `http1`, `http2`, `tcp`, `tls` (passed through), `none` where they ended before it was known.', read: (_series, s) => readConnections(s.policyEvents(), 'total') },
  { name: 'remora_connections_active', type: 'gauge', help: 'Those that are open and have told their protocol.', read: (_series, s) => readConnections(s.policyEvents(), 'active') },
  { name: 'remora_connections_refused_total', type: 'counter', help: 'Connections closed at accept: the listener drains, has `requestLimits.connections`, or the thread has no descriptors or memory left.', read: (_series, s) => readConnections(s.policyEvents(), 'refused') },
  { name: 'remora_upstream_connections_total', type: 'counter', help: 'Connections begun to upstreams, by protocol; those of TCP are tunnels.', read: (_series, s) => readUpstreamConnections(s.policyEvents()) },
  { name: 'remora_upstream_http2_events_total', type: 'counter', help: 'HTTP/2 connections to upstreams: `goaway` said by the peer, `failed` because it broke the rules or was silent, `retired` because so many calls were cancelled on it that the peer might take it for an attack.', read: (_series, s) => readUpstreamEvents(s.policyEvents()) },
  { name: 'remora_upstream_tls_handshakes_total', type: 'counter', help: 'TLS handshakes with upstreams by outcome: how they succeeded, or why not.', read: (_series, s) => readUpstreamHandshakes(s.policyEvents()) },
  { name: 'remora_tls_handshakes_total', type: 'counter', help: 'TLS handshakes of clients by outcome (`full`, `resumed`, or why it failed) and version.', read: (_series, s) => readHandshakes(s.policyEvents()) },
  { name: 'remora_tls_contexts_total', type: 'counter', help: 'TLS contexts made for hosts of listeners.', read: (_series, s) => readContexts(s.policyEvents()) },
  { name: 'remora_proxy_protocol_headers_total', type: 'counter', help: 'PROXY protocol headers by outcome: `version-1`, `version-2`, or why the connection was closed.', read: (_series, s) => readProxyHeaders(s.policyEvents()) },
  { name: 'remora_http2_errors_total', type: 'counter', help: 'HTTP/2 of clients: what a `stream` was refused or reset for, or a `connection` ended, by reason; every limit has its own.', read: (_series, s) => readHttp2Errors(s.policyEvents()) },
  { name: 'remora_http2_windows_total', type: 'counter', help: 'Windows of HTTP/2, of clients and upstreams, that `grown` to what a long way holds, or were `refused` to because the memory set aside for it is in use.', read: (_series, s) => readHttp2Windows(s.policyEvents()) },
  { name: 'remora_held_bodies_total', type: 'counter', help: 'Request bodies that a policy wanted to see before anything went on: `held` back, `hold-refused` because the memory set aside for it is in use.', read: (_series, s) => readHeldBodies(s.policyEvents()) },
  { name: 'remora_tls_certificate_expiry_seconds', type: 'gauge', help: 'Unix time at which a certificate in use ends; of several authorities the first.', read: (_series, s) => readExpiry(s.certificates()) },
  { name: 'remora_issuer_keys_age_seconds', type: 'gauge', help: 'Since the keys of an issuer were fetched; -1: they never were.', read: (_series, s) => s.issuerKeys().map((one) => ({ value: one.ageSeconds ?? -1, labels: { issuer: one.issuer } })) },
  { name: 'remora_issuer_keys_problem', type: 'gauge', help: '1 while the keys of an issuer cannot be fetched.', read: (_series, s) => s.issuerKeys().map((one) => ({ value: Number(one.problem !== null), labels: { issuer: one.issuer } })) },
  { name: 'remora_tls_certificate_problem', type: 'gauge', help: '1 while the files of a certificate cannot be used as they are, or what is used has expired.', read: (_series, s) => readProblems(s.certificates()) },
  { name: 'remora_refusals_seen_total', type: 'counter', help: 'Refusals that reached the ring for why.', read: single((s) => s.refusalCount()) },
  { name: 'remora_taps_open', type: 'gauge', help: 'Taps that look at requests as they end (`remora tap`); summed over data threads, at most 4 each.', read: single((s) => s.policyEvents().get('taps_open') ?? 0) },
  { name: 'remora_tap_skipped_requests_total', type: 'counter', help: 'Requests that a tap would have shown and had no room for, more than 100 in a data thread between two looks.', read: single((s) => s.policyEvents().get('taps_skipped') ?? 0) },
  { name: 'remora_held_states', type: 'gauge', help: 'What is held against destinations and hosts now: ejections, open breakers, failed checks; by service.', read: readHeld },
  { name: 'remora_health_dropped_total', type: 'counter', help: 'Changes of such states that found no room.', read: single((s) => s.health().dropped) },
  { name: 'remora_telemetry_dropped_total', type: 'counter', help: 'Batches not sent in time, refusals and events that did not fit the queue.', read: readDropped },
  { name: 'remora_spans_total', type: 'counter', help: 'Spans of requests, by what became of them: `exported`, `dropped` (the buffer was full), `failed` (the collector did not take them). Only with an OTLP endpoint.', read: readSpans },
  { name: 'remora_data_thread_deaths_total', type: 'counter', help: 'Data threads that died; each is replaced, its connections are lost.', read: single((s) => s.threadDeaths()) },
  { name: 'remora_overload_stage', type: 'gauge', help: '0: none; 1: keep-alive ends; 2: new requests are refused; 3: new connections are closed. Of the data thread that is worst off.', read: single((s) => s.overloadStage()) },
  { name: 'remora_resident_memory_bytes', type: 'gauge', help: 'Resident memory of the process.', read: single((s) => s.rssBytes()) },
];

/** Text in Prometheus' format. prom-client is loaded at the first scrape: most sidecars are never scraped. */
export async function renderMetrics(sources: MetricSources): Promise<string> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  const series = boundSeries(sources.readSeries());
  for (const { name, type, help, read } of metricTable) {
    const get = (): object => ({ name, help, type, values: read(series, sources), aggregator: 'sum' });
    // The registry asks its metrics only for `name` and `get`; ours are read at the scrape instead of counted.
    registry.registerMetric({ name, get } as unknown as Metric);
  }
  return registry.metrics();
}

/** The page docs/metrics-sidecar.md. */
export function metricsPage(): string {
  return [
    '# Metrics of a sidecar',
    '',
    'Made from `sidecar/src/admin/metrics.ts` by `npm run golden`. `GET /metrics` of the admin interface (loopback, port 15000)',
    'answers them in Prometheus\' format. Series carry `side` (inbound, outbound, gateway), `route` and `destination`, and `target`',
    'where a Route chose among instances by their labels (`version=v2`); beyond',
    '1,000 series per sidecar the rest is added up under the route `_overflow`. Routes that are gone give their place to new ones',
    'when three quarters of the places are taken; the newest 1,024 of them are still told of while there is room.',
    '',
    'With `--otlp-endpoint` the same figures go out over OTLP, named `remora.` and the rest without `_total`: `remora_tls_handshakes_total` is',
    '`remora.tls_handshakes`. Three are named by OTLP\'s units: `remora.request.duration` (an exponential histogram), `remora.received`, `remora.sent`.',
    '',
    '| name | type | what it says |',
    '| --- | --- | --- |',
    ...metricTable.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`),
    '',
  ].join('\n');
}

function readClasses(series: readonly SeriesReading[]): Sample[] {
  return series.flatMap((reading) => reading.statusClasses.flatMap((value, i) =>
    value === 0 && i !== 2 ? [] : [{ value, labels: { ...places(reading), class: i === 0 ? 'none' : `${i}xx` } }]));
}

function readGrpcCodes(series: readonly SeriesReading[]): Sample[] {
  return series.flatMap((reading) => reading.grpcCodes.flatMap((value, code) =>
    value === 0 ? [] : [{ value, labels: { ...places(reading), code: grpcCodeLabel(code) } }]));
}

function readMessages(series: readonly SeriesReading[]): Sample[] {
  return series.filter(({ tunnels }) => tunnels.opened > 0).flatMap((reading) => [
    { value: reading.tunnels.messagesIn, labels: { ...places(reading), direction: 'in' } },
    { value: reading.tunnels.messagesOut, labels: { ...places(reading), direction: 'out' } },
  ]);
}

function readLatencies(series: readonly SeriesReading[]): Sample[] {
  return series.flatMap((reading) => {
    const name = 'remora_request_duration_milliseconds';
    const labels = places(reading);
    const counts = toPrometheusBuckets(reading.latency.counts);
    const samples: Sample[] = counts.map((value, i) => ({ metricName: `${name}_bucket`, labels: { ...labels, le: boundText(i) }, value }));
    samples.push({ metricName: `${name}_sum`, labels, value: reading.latency.sum });
    samples.push({ metricName: `${name}_count`, labels, value: counts.at(-1) ?? 0 });
    return samples;
  });
}

function boundText(index: number): string {
  const bound = prometheusBoundsMs[index];
  return bound === undefined ? '+Inf' : String(bound);
}

function readRefusals(series: readonly SeriesReading[]): Sample[] {
  return series.flatMap((reading) => reading.refusals.map(({ reason, kind, policy, shadow, count }) => ({
    value: count, labels: { ...places(reading), reason, kind, policy, shadow: String(shadow) },
  })));
}

/** Counters are named `kind_event`; kinds have no underscore, and what did not fit has no kind. */
function readPolicyEvents(_series: readonly SeriesReading[], sources: MetricSources): Sample[] {
  return [...sources.policyEvents()].flatMap(([name, value]) => {
    const at = name.indexOf('_');
    if (name === 'generation_older') return [];
    if (at > 0 && edgeEventKinds.has(name.slice(0, at))) return [];
    return [{ value, labels: at <= 0 ? { kind: '', event: name } : { kind: name.slice(0, at), event: name.slice(at + 1) } }];
  });
}

function readSpans(_series: readonly SeriesReading[], sources: MetricSources): Sample[] {
  return Object.entries(sources.spans() ?? {}).map(([outcome, value]: [string, number]) => ({ value, labels: { outcome } }));
}

function readHeld(_series: readonly SeriesReading[], sources: MetricSources): Sample[] {
  const counts = new Map<string, Sample>();
  for (const { kind, event, service } of sources.health().current()) {
    const key = `${kind}\0${event}\0${service}`;
    counts.set(key, { value: (counts.get(key)?.value ?? 0) + 1, labels: { kind, event, service } });
  }
  return [...counts.values()];
}

function readDropped(_series: readonly SeriesReading[], sources: MetricSources): Sample[] {
  const status = sources.telemetry();
  return [
    { value: status?.droppedBatches ?? 0, labels: { what: 'batch' } },
    { value: status?.droppedRefusals ?? 0, labels: { what: 'refusal' } },
    { value: status?.droppedEvents ?? 0, labels: { what: 'event' } },
  ];
}
