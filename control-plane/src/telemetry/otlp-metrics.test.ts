import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@remora/core/clock';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { startOtlpMetrics } from './otlp-metrics.ts';

async function collector(): Promise<{ readonly url: string; readonly received: unknown[] }> {
  const received: unknown[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push(JSON.parse(Buffer.concat(chunks).toString()));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

test('what Prometheus shows reaches a collector under the same names', async () => {
  const { url, received } = await collector();
  const registry = new Registry();
  new Counter({ name: 'remora_writes_total', help: 'Writes', labelNames: ['kind'], registers: [registry] }).inc({ kind: 'apply' }, 3);
  new Gauge({ name: 'remora_sidecars', help: 'Sidecars', registers: [registry] }).set(7);
  const seconds = new Histogram({ name: 'remora_write_seconds', help: 'Time', buckets: [0.1, 1], registers: [registry] });
  for (const value of [0.05, 0.5, 0.6, 5]) seconds.observe(value);
  const otlp = startOtlpMetrics({ endpoint: `${url}/`, version: '1.2.3', registry, clock: systemClock, intervalMs: 60_000 });
  await otlp.stop();
  expect(received).toHaveLength(1);
  const [{ resource, scopeMetrics }] = (received[0] as { resourceMetrics: [{ resource: { attributes: unknown[] }; scopeMetrics: { metrics: { name: string }[] }[] }] }).resourceMetrics;
  expect(resource.attributes).toContainEqual({ key: 'service.name', value: { stringValue: 'remora-control-plane' } });
  const metrics = scopeMetrics.flatMap((scope) => scope.metrics);
  const named = (name: string): unknown => metrics.find((metric) => metric.name === name);
  expect(named('remora_writes_total')).toMatchObject({ sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints: [{ asDouble: 3, attributes: [{ key: 'kind', value: { stringValue: 'apply' } }] }] } });
  expect(named('remora_sidecars')).toMatchObject({ gauge: { dataPoints: [{ asDouble: 7 }] } });
  expect(named('remora_write_seconds')).toMatchObject({ unit: 's', histogram: { dataPoints: [{ count: 4, sum: 6.15, explicitBounds: [0.1, 1], bucketCounts: [1, 2, 1] }] } });
});

test('a collector that is not there does not hold up the end', async () => {
  const otlp = startOtlpMetrics({ endpoint: 'http://127.0.0.1:9', version: '1', registry: new Registry(), clock: systemClock });
  const begin = performance.now();
  await otlp.stop();
  expect(performance.now() - begin).toBeLessThan(4_000);
});
