import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../processes/until.ts';
import { Fixture, statusOf, twoServices, untilInSync } from './fixture.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}

interface Received {
  /** `service.name` of the sidecar's resource. */
  readonly service: string;
  readonly span: Span;
}

interface TraceRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

function attribute(span: Pick<Span, 'attributes'>, key: string): unknown {
  const found = span.attributes.find((each) => each.key === key);
  return found === undefined ? undefined : Object.values(found.value)[0];
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** An OTLP/HTTP collector that keeps the spans of requests. */
class Collector {
  readonly spans: Received[] = [];
  readonly #server: Server = createServer((request, response) => {
    void bodyOf(request).then((text) => {
      if (request.url === '/v1/traces') this.#keep(JSON.parse(text) as TraceRequest);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => { this.#server.listen(0, '127.0.0.1', resolve); });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #keep({ resourceSpans }: TraceRequest): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = String(attribute(resource, 'service.name'));
      // Kinds 2 and 3 are server and client; applying a snapshot is internal.
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) if (span.kind !== 1) this.spans.push({ service, span });
    }
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

describe('spans of a request', () => {
  let fixture = new Fixture();
  let collector = new Collector();
  afterEach(async () => {
    await fixture.end();
    collector.stop();
    fixture = new Fixture();
    collector = new Collector();
  });

  test('from a gateway through two sidecars are one trace at the collector, each the parent of the next', async () => {
    const otlp = ['--otlp-endpoint', await collector.start()];
    let toOrders = 0;
    // web hands on what tracing needs, as an instrumented app does.
    const web = createServer((request, response) => {
      const traceparent = String(request.headers['traceparent']);
      void fetch(`http://127.0.0.1:${toOrders}/stock`, { headers: { traceparent, 'x-request-id': String(request.headers['x-request-id']) } })
        .then((answer) => answer.text()).then((text) => response.end(text), () => response.writeHead(502).end());
    });
    await new Promise<void>((resolve) => { web.listen(0, '127.0.0.1', resolve); });
    web.unref();
    const orders = await fixture.app('orders');
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`${twoServices}
---
{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}
---
{kind: Route, name: shop, gateway: edge, match: {path: {prefix: /}}, to: [{service: web}]}
---
{kind: Policy, name: closed, target: {gateway: edge}, rateLimit: {limits: {few: {requests: 1, per: 30d, match: {paths: [/closed]}}}}}
`);
    const common = ['--control-plane', controlPlane.push, ...otlp];
    const edge = await fixture.sidecar(['--gateway', 'edge', ...common]);
    const webSidecar = await fixture.sidecar([
      '--service', 'web', '--app', `127.0.0.1:${(web.address() as AddressInfo).port}`, '--inbound', '0', '--outbound', '0', '--outbound-for', 'orders=0', ...common,
    ]);
    toOrders = webSidecar.ports['outbound/orders'] ?? 0;
    await fixture.sidecar(['--service', 'orders', '--app', `127.0.0.1:${orders.port}`, '--inbound', '0', '--no-outbound', ...common]);
    await untilInSync(controlPlane.api, 3);
    const { listeners } = await statusOf(edge) as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
    const port = listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
    await until('the first answer', async () => (await fetch(`http://127.0.0.1:${port}/`)).text(), (text) => text === 'orders');
    collector.spans.length = 0;

    const answer = await fetch(`http://127.0.0.1:${port}/basket?code=secret`);
    expect(await answer.text()).toBe('orders');
    const path = (received: Received): unknown => attribute(received.span, 'url.path');
    const found = await until('the trace is complete', () => {
      const first = collector.spans.find((received) => received.service === 'edge' && path(received) === '/basket');
      return collector.spans.filter(({ span }) => span.traceId === first?.span.traceId);
    }, (spans) => spans.length >= 8);

    const chain: Received[] = [];
    for (let next = found.find(({ span }) => (span.parentSpanId ?? '') === ''); next !== undefined; next = found.find(({ span }) => span.parentSpanId === chain.at(-1)?.span.spanId)) chain.push(next);
    expect(chain.map(({ service, span }) => `${service} ${String(attribute(span, 'remora.side'))} ${span.kind === 2 ? 'server' : 'client'}`)).toEqual([
      'edge gateway server', 'edge gateway client', 'web inbound server', 'web inbound client', 'web outbound server', 'web outbound client', 'orders inbound server', 'orders inbound client',
    ]);
    expect(new Set(chain.map(({ span }) => attribute(span, 'remora.request_id')).filter((id) => id !== undefined)).size).toBe(1);
    expect(JSON.stringify(found)).not.toContain('secret');

    expect((await fetch(`http://127.0.0.1:${port}/closed`)).status).toBe(200);
    const refused = await fetch(`http://127.0.0.1:${port}/closed`);
    expect(refused.status).toBe(429);
    const { span } = await until('the refusal is there', () => collector.spans.find((received) => attribute(received.span, 'remora.reason') === 'rate-limited'), (seen) => seen !== undefined) as Received;
    expect(attribute(span, 'remora.policy')).toBe('closed');
    expect(attribute(span, 'remora.request_id')).toBe(refused.headers.get('x-request-id'));
    const metrics = await (await fetch(`http://127.0.0.1:${edge.ports['admin']}/metrics`)).text();
    expect(metrics).toMatch(/^remora_spans_total\{outcome="exported"\} [1-9]/m);
    expect(metrics).toMatch(/^remora_spans_total\{outcome="dropped"\} 0$/m);
  });
});
