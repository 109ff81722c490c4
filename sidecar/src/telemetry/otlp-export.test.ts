import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, systemTimers } from '@remora/core/clock';
import { bucketCount } from '@remora/telemetry/histogram';
import { expect, test, vi } from 'vitest';
import type { MetricSources } from '../admin/metrics.ts';
import type { SeriesReading } from '../threads/data-plane.ts';
import { startOtlpExport } from './otlp-export.ts';

interface Sent {
  readonly path: string;
  readonly body: { readonly resourceMetrics?: readonly { readonly scopeMetrics: readonly { readonly metrics: readonly Record<string, unknown>[] }[] }[]; readonly resourceSpans?: readonly { readonly scopeSpans: readonly { readonly spans: readonly { readonly name: string; readonly status: object }[] }[] }[] };
}

test('metrics and spans reach an OTLP collector, histograms as they were counted', async () => {
  const sent: Sent[] = [];
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      sent.push({ path: request.url ?? '', body: JSON.parse(Buffer.concat(chunks).toString()) as Sent['body'] });
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const counts = Array.from({ length: bucketCount }, (_, i) => (i === 40 ? 3 : 0));
  const series: SeriesReading = {
    side: 'inbound', route: 'api', destination: '', target: '', requests: 3, statusClasses: [0, 0, 3, 0, 0, 0], codes: new Map([[200, 3]]), grpcCodes: [], bytesIn: 5, bytesOut: 7,
    latency: { counts, sum: 6, max: 2 }, refusals: [], retries: 0, active: 0, tunnels: { opened: 0, active: 0, messagesIn: 0, messagesOut: 0 },
  };
  const sources: MetricSources = {
    readSeries: () => [series], configStatus: () => ({ link: {}, state: {} }) as ReturnType<MetricSources['configStatus']>, telemetry: () => null, appReady: () => true, rssBytes: () => 5, refusalCount: () => 0, health: () => ({ current: () => [], dropped: 0 }),
    policyEvents: () => new Map([['tls_full-TLSv1.3', 7], ['connections_active-gateway-http2', 2]]), threadDeaths: () => 0, certificates: () => [], issuerKeys: () => [], spans: () => null, overloadStage: () => 0,
  };
  const otlp = startOtlpExport({
    endpoint: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/`, nodeId: 'orders-1', subject: { kind: 'service', name: 'orders' }, version: '1',
    metrics: sources, intervalMs: 1_000, clock: systemClock, timers: systemTimers, spans: 'operations', takeSpans: () => [], onTrouble: () => {},
  });
  const operation = otlp.tracer.begin('snapshot.apply', { 'remora.version': '1.1' });
  operation.begin('decode').end();
  operation.end('invalid');
  await otlp.stop();
  await vi.waitFor(() => expect(new Set(sent.map(({ path }) => path))).toEqual(new Set(['/v1/metrics', '/v1/traces'])));
  const metrics = sent.find(({ path }) => path === '/v1/metrics')?.body.resourceMetrics?.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics)) ?? [];
  expect(metrics.map(({ name }) => name)).toEqual(expect.arrayContaining(['remora.requests', 'remora.request.duration', 'remora.received']));
  expect(metrics.find(({ name }) => name === 'remora.tls_handshakes')).toMatchObject({ sum: { dataPoints: [{ asDouble: 7 }] } });
  expect(metrics.find(({ name }) => name === 'remora.connections_active')).toMatchObject({ gauge: { dataPoints: [{ asDouble: 2 }] } });
  // The catalogue is whole: each of its metrics that has a value now is sent.
  expect(metrics.map(({ name }) => name)).toEqual(expect.arrayContaining(['remora.app_ready', 'remora.resident_memory_bytes', 'remora.config_persisted', 'remora.overload_stage']));
  const duration = metrics.find(({ name }) => name === 'remora.request.duration');
  expect(duration?.['exponentialHistogram']).toMatchObject({ dataPoints: [{ count: 3, scale: 3, positive: { offset: 4, bucketCounts: [3] } }] });
  const spans = sent.find(({ path }) => path === '/v1/traces')?.body.resourceSpans?.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)) ?? [];
  expect(spans.map(({ name }) => name)).toEqual(['remora.decode', 'remora.snapshot.apply']);
  collector.closeAllConnections();
  collector.close();
});
