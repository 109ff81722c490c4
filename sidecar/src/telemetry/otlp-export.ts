import { context, SpanStatusCode, trace, ValueType, type Context, type Meter, type Span, type Tracer } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality, DataPointType, MeterProvider, PeriodicExportingMetricReader, type CollectionResult, type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Clock, Timers } from '@remora/core/clock';
import { subjectKey, type Subject } from '@remora/core/subject';
import { toProtoHistogram } from '@remora/telemetry/histogram';
import { metricTable, type MetricSources } from '../admin/metrics.ts';
import type { SidecarSettings } from '../settings/sidecar-settings.ts';
import type { SeriesReading } from '../threads/data-plane.ts';
import { noTracer, type Operation, type OperationTracer } from './operation-tracer.ts';
import { hrTime } from './request-span.ts';
import { boundSeries, seriesMax } from './series-bound.ts';
import { SpanExport, type SpanExportOptions } from './span-export.ts';

export interface OtlpOptions {
  /** Base URL: `/v1/metrics` and `/v1/traces` are added. */
  readonly endpoint: string;
  readonly nodeId: string;
  readonly subject: Subject;
  readonly version: string;
  readonly metrics: MetricSources;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly spans: SidecarSettings['otlpSpans'];
  readonly takeSpans: SpanExportOptions['takeSpans'];
  readonly onTrouble: SpanExportOptions['onTrouble'];
}

export interface OtlpExport {
  readonly tracer: OperationTracer;
  /** null where spans of requests are not exported. */
  readonly requestSpans: SpanExport | null;
  /** Sends what is left, for at most 2 s. */
  stop(): Promise<void>;
}

const exportTimeoutMs = 5_000;

/**
 * Exports metrics and spans over OTLP/HTTP. This file is loaded only where an endpoint is configured. Sums go through the
 * API's observable instruments, latencies as the exponential histograms that the data threads count: nothing is rounded.
 */
export function startOtlpExport(options: OtlpOptions): OtlpExport {
  const { endpoint, nodeId, subject, version, intervalMs } = options;
  const base = endpoint.replace(/\/+$/, '');
  const resource = resourceFromAttributes({
    'service.name': subject.name, 'service.instance.id': nodeId, 'service.version': version, 'remora.subject': subjectKey(subject),
  });
  const meters = new MeterProvider({
    resource,
    readers: [new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `${base}/v1/metrics`, timeoutMillis: exportTimeoutMs, temporalityPreference: AggregationTemporality.CUMULATIVE }),
      exportIntervalMillis: Math.max(1_000, intervalMs),
      exportTimeoutMillis: Math.min(exportTimeoutMs, Math.max(1_000, intervalMs)),
      metricProducers: [latencyProducer(options)],
      // Classes and reasons come on top of places; the number of places is bounded.
      cardinalityLimits: { default: seriesMax * 16 },
    })],
  });
  const spansTo = (): OTLPTraceExporter => new OTLPTraceExporter({ url: `${base}/v1/traces`, timeoutMillis: exportTimeoutMs });
  const tracers = options.spans === 'none' ? null : new TracerProvider({
    resource, spanProcessors: [new BatchSpanProcessor({ exporter: spansTo(), maxQueueSize: 512, maxExportBatchSize: 128 })],
  });
  const { timers, takeSpans, onTrouble } = options;
  const requestSpans = options.spans !== 'requests' ? null
    : new SpanExport({ exporter: spansTo(), origin: { resource, scope: { name: 'remora', version } }, timers, takeSpans, onTrouble });
  const meter = meters.getMeter('remora', version);
  observeSums(meter, options.metrics.readSeries);
  observeOthers(meter, options.metrics);
  return {
    tracer: tracers === null ? noTracer : operationTracer(tracers.getTracer('remora', version)),
    requestSpans,
    async stop() {
      await Promise.race([
        Promise.allSettled([meters.shutdown(), tracers?.shutdown(), requestSpans?.stop()]),
        new Promise((resolve) => setTimeout(resolve, 2_000).unref()),
      ]);
    },
  };
}

type Places = { readonly side: string; readonly route: string; readonly destination: string; readonly target?: string };

function placesOf({ side, route, destination, target }: SeriesReading): Places {
  return { side, route, destination, ...(target !== '' && { target }) };
}

function observeSums(meter: Meter, readSeries: () => readonly SeriesReading[]): void {
  const requests = meter.createObservableCounter('remora.requests', { description: 'Requests by class of their status', unit: '{request}' });
  const refusals = meter.createObservableCounter('remora.refusals', { description: 'Requests refused, by reason', unit: '{request}' });
  const retries = meter.createObservableCounter('remora.retries', { description: 'Attempts beyond the first', unit: '{attempt}' });
  const received = meter.createObservableCounter('remora.received', { description: 'Body bytes of requests', unit: 'By' });
  const sent = meter.createObservableCounter('remora.sent', { description: 'Body bytes of answers', unit: 'By' });
  const active = meter.createObservableGauge('remora.active_requests', { description: 'Requests in flight', unit: '{request}' });
  meter.addBatchObservableCallback((result) => {
    for (const reading of boundSeries(readSeries())) {
      const places = placesOf(reading);
      for (const [i, count] of reading.statusClasses.entries()) {
        if (count > 0) result.observe(requests, count, { ...places, class: i === 0 ? 'none' : `${i}xx` });
      }
      for (const { reason, kind, policy, shadow, count } of reading.refusals) result.observe(refusals, count, { ...places, reason, kind, policy, shadow });
      result.observe(retries, reading.retries, places);
      result.observe(received, reading.bytesIn, places);
      result.observe(sent, reading.bytesOut, places);
      result.observe(active, reading.active, places);
    }
  }, [requests, refusals, retries, received, sent, active]);
}

/** Every other metric of the catalogue: `remora_tls_handshakes_total` is `remora.tls_handshakes`, with the same attributes. */
function observeOthers(meter: Meter, sources: MetricSources): void {
  const rows = metricTable.filter(({ name, type }) => type !== 'histogram' && !ownNames.has(name)).map((row) => {
    const name = `remora.${row.name.replace(/^remora_|_total$/g, '')}`;
    const instrument = row.type === 'counter' ? meter.createObservableCounter(name, { description: row.help }) : meter.createObservableGauge(name, { description: row.help });
    return { read: row.read, instrument };
  });
  meter.addBatchObservableCallback((result) => {
    const series = boundSeries(sources.readSeries());
    for (const { read, instrument } of rows) for (const { value, labels } of read(series, sources)) result.observe(instrument, value, labels);
  }, rows.map(({ instrument }) => instrument));
}

/** Those that `observeSums` has, with units. */
const ownNames = new Set([
  'remora_requests_total', 'remora_refusals_total', 'remora_retries_total', 'remora_received_bytes_total', 'remora_sent_bytes_total', 'remora_active_requests',
]);

/** The API has no histogram that is counted elsewhere; a producer beside the SDK's own has. */
function latencyProducer({ metrics: { readSeries }, clock }: OtlpOptions): MetricProducer {
  const startTime = hrTime(clock.wallMs());
  return {
    collect(): Promise<CollectionResult> {
      const endTime = hrTime(clock.wallMs());
      const dataPoints = boundSeries(readSeries()).map((reading) => {
        const { count, sum, scale, zeroCount, offset, counts, max } = toProtoHistogram(reading.latency);
        return {
          startTime, endTime, attributes: { ...placesOf(reading) },
          value: {
            count: Number(count), sum, scale, zeroCount: Number(zeroCount), max,
            positive: { offset, bucketCounts: counts.map(Number) }, negative: { offset: 0, bucketCounts: [] },
          },
        };
      });
      const descriptor = { name: 'remora.request.duration', description: 'From the request head to the end of the answer', unit: 'ms', valueType: ValueType.DOUBLE };
      const metric = { descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE, dataPointType: DataPointType.EXPONENTIAL_HISTOGRAM as const, dataPoints };
      return Promise.resolve({ resourceMetrics: { resource: resourceFromAttributes({}), scopeMetrics: [{ scope: { name: 'remora' }, metrics: [metric] }] }, errors: [] });
    },
  };
}

function operationTracer(tracer: Tracer): OperationTracer {
  const begin = (name: string, parent: Context, attributes: Readonly<Record<string, string | number>> = {}): Operation => {
    const span = tracer.startSpan(`remora.${name}`, { attributes: { ...attributes } }, parent);
    const own = trace.setSpan(parent, span);
    return { begin: (child) => begin(child, own), end: (error) => endSpan(span, error) };
  };
  return { begin: (name, attributes) => begin(name, context.active(), attributes) };
}

function endSpan(span: Span, error: string | undefined): void {
  if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
  span.end();
}
