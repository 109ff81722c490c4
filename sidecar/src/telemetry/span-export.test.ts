import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { systemTimers } from '@remora/core/clock';
import { afterEach, expect, test, vi } from 'vitest';
import type { ClientSpan, SpanRecord } from '../records/span-record.ts';
import { SpanExport } from './span-export.ts';

const span: ClientSpan = {
  kind: 'client', traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), parentId: 'c'.repeat(16), flags: 1, side: 'gateway', startMs: Date.now(), durationMs: 2, status: 200, grpcStatus: -1,
  method: 'GET', scheme: 'http', authority: 'a', path: '/', protocol: '1.1', destination: '', reason: '', attempt: 1, address: '', endpoint: '',
};

interface Body {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly { readonly traceId: string; readonly spanId: string; readonly parentSpanId: string; readonly kind: number }[] }[] }[];
}

const waiting10s = { timeout: 10_000 };
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function collector(answer: () => number): Promise<{ readonly url: string; readonly bodies: Body[] }> {
  const bodies: Body[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.statusCode = answer();
      if (response.statusCode === 200) bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as Body);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`, bodies };
}

function exportTo(url: string, waiting: SpanRecord[]): { readonly spans: SpanExport; readonly troubles: (string | null)[] } {
  const troubles: (string | null)[] = [];
  const spans = new SpanExport({
    exporter: new OTLPTraceExporter({ url, timeoutMillis: 2_000 }), origin: { resource: resourceFromAttributes({}), scope: { name: 'remora' } }, timers: systemTimers,
    takeSpans: (max) => waiting.splice(0, max), onTrouble: (cause) => troubles.push(cause),
  });
  return { spans, troubles };
}

test('batches go one after the other, with ids as they are; stopping sends the rest', async () => {
  const { url, bodies } = await collector(() => 200);
  const waiting: SpanRecord[] = Array.from({ length: 2_500 }, () => span);
  const { spans } = exportTo(url, waiting);
  await vi.waitFor(() => expect(spans.exported).toBeGreaterThan(0), waiting10s);
  await spans.stop();
  expect(spans).toMatchObject({ exported: 2_500, failed: 0 });
  const sent = bodies.flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
  expect(sent).toHaveLength(2_500);
  expect(Math.max(...bodies.map(({ resourceSpans }) => resourceSpans[0]?.scopeSpans[0]?.spans.length ?? 0))).toBe(1_024);
  expect(sent[0]).toMatchObject({ traceId: span.traceId, spanId: span.spanId, parentSpanId: span.parentId, kind: 3 });
});

test('a collector that refuses costs the spans, is said once, and so is its return', async () => {
  let status = 400;
  const { url } = await collector(() => status);
  const waiting: SpanRecord[] = [span];
  const { spans, troubles } = exportTo(url, waiting);
  await vi.waitFor(() => expect(spans.failed).toBe(1), waiting10s);
  waiting.push(span);
  await vi.waitFor(() => expect(spans.failed).toBe(2), waiting10s);
  status = 200;
  waiting.push(span);
  await vi.waitFor(() => expect(spans.exported).toBe(1), waiting10s);
  expect(troubles).toHaveLength(2);
  expect(troubles[0]).toBe('Bad Request');
  expect(troubles[1]).toBeNull();
  await spans.stop();
});
