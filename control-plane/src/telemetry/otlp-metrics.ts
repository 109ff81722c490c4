import { ValueType } from '@opentelemetry/api';
import type { HrTime } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import type { MetricProducer, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Clock } from '@remora/core/clock';
import type { Registry } from 'prom-client';

type MetricData = ResourceMetrics['scopeMetrics'][number]['metrics'][number];

export interface OtlpMetricsOptions {
  /** Base URL: `/v1/metrics` is added. */
  readonly endpoint: string;
  readonly version: string;
  readonly registry: Registry;
  readonly clock: Clock;
  /** Default 10 s. */
  readonly intervalMs?: number;
}

const exportTimeoutMs = 5_000;

/**
 * Sends what the Prometheus page shows over OTLP/HTTP, under the same names. Loaded only where an endpoint is configured. A
 * collector that is gone costs nothing but its own data: every export has its deadline, and values are cumulative.
 */
export function startOtlpMetrics({ endpoint, version, registry, clock, intervalMs = 10_000 }: OtlpMetricsOptions): { stop(): Promise<void> } {
  const meters = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': 'remora-control-plane', 'service.version': version }),
    readers: [new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/metrics`, timeoutMillis: exportTimeoutMs, temporalityPreference: AggregationTemporality.CUMULATIVE }),
      exportIntervalMillis: intervalMs,
      exportTimeoutMillis: Math.min(exportTimeoutMs, intervalMs),
      metricProducers: [producerOf(registry, clock)],
    })],
  });
  return {
    async stop() {
      await Promise.race([Promise.allSettled([meters.shutdown()]), new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
    },
  };
}

interface PrometheusValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

interface PrometheusMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly PrometheusValue[];
}

function producerOf(registry: Registry, clock: Clock): MetricProducer {
  const startTime = hrTime(clock.wallMs());
  return {
    async collect() {
      const times = { startTime, endTime: hrTime(clock.wallMs()) };
      const metrics = ((await registry.getMetricsAsJSON()) as unknown as readonly PrometheusMetric[]).flatMap((metric) => convert(metric, times) ?? []);
      return { resourceMetrics: { resource: resourceFromAttributes({}), scopeMetrics: [{ scope: { name: 'remora' }, metrics }] }, errors: [] };
    },
  };
}

interface Times {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

/** null: a type that OTLP has no counterpart for. */
function convert(metric: PrometheusMetric, times: Times): MetricData | null {
  const common = {
    descriptor: { name: metric.name, description: metric.help, unit: metric.name.includes('_seconds') ? 's' : metric.name.includes('_bytes') ? 'By' : '1', valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const points = (): { startTime: HrTime; endTime: HrTime; attributes: Record<string, string | number>; value: number }[] =>
    metric.values.map(({ labels, value }) => ({ ...times, attributes: { ...labels }, value }));
  switch (metric.type) {
    case 'counter':
      return { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: points() };
    case 'gauge':
      return { ...common, dataPointType: DataPointType.GAUGE, dataPoints: points() };
    case 'histogram':
      return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints: histogramPoints(metric, times) };
    default:
      return null;
  }
}

/** Buckets of Prometheus count everything below their bound; those of OTLP only what is between two. */
function histogramPoints({ name, values }: PrometheusMetric, times: Times): Extract<MetricData, { dataPointType: DataPointType.HISTOGRAM }>['dataPoints'] {
  const series = Map.groupBy(values, ({ labels: { le: _le, ...labels } }) => JSON.stringify(labels));
  return [...series].map(([labels, parts]) => {
    const buckets = parts.filter(({ metricName }) => metricName === `${name}_bucket`).map(({ labels: { le }, value }) => ({ le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), value })).sort((a, b) => a.le - b.le);
    const total = (suffix: string): number => parts.find(({ metricName }) => metricName === `${name}_${suffix}`)?.value ?? 0;
    return {
      ...times,
      attributes: JSON.parse(labels) as Record<string, string | number>,
      value: {
        buckets: { boundaries: buckets.map(({ le }) => le).filter(Number.isFinite), counts: buckets.map(({ value }, at) => value - (buckets[at - 1]?.value ?? 0)) },
        count: total('count'),
        sum: total('sum'),
      },
    };
  });
}

function hrTime(ms: number): HrTime {
  return [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1e6)];
}
