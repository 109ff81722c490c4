import { connect as connectHttp2 } from 'node:http2';
import { request as httpRequest } from 'node:http';
import { connect as connectTcp } from 'node:net';
import path from 'node:path';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { expectGolden } from '@remora/testing/golden';
import { settle } from '@remora/testing/manual-timers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { snapshot } from '../config/testdata/client-fixture.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { SidecarFixture } from '../testdata/sidecar-fixture.ts';
import { startAdminServer } from './admin-server.ts';
import { metricsPage } from './metrics.ts';

let fixture: SidecarFixture;
beforeAll(async () => {
  fixture = await new SidecarFixture('--gateway edge').start();
  fixture.controlPlane.last.push(snapshot(1, { routes: 3 }));
  const sets = [EndpointSet.fromPartial({ service: 'orders', endpoints: [{ id: 'a', weight: 1, ports: [{ name: 'http', host: '10.0.0.1', port: 80 }] }] })];
  fixture.controlPlane.last.say({ $case: 'state', value: { version: { epoch: 1n, index: 1n }, full: true, sets, removed: [], hash: Buffer.alloc(32), hold: [], items: [], removedItems: [], holdItems: [], fullItems: true } });
  await settle();
});
afterAll(() => fixture.sidecar.stop());

function refusal(requestId: string): RefusalRecord {
  return {
    requestId, atMs: 1, side: 'gateway', method: 'GET', authority: 'shop', path: '/', route: 'api', destination: '', target: '', status: 429, reason: 'rate-limited', responseFlag: 'RL', kind: 'rateLimit',
    pointer: '/limits/perIp', policy: 'public-api', configVersion: '1.1', configHash: 'ab', detail: '', clientAddress: '127.0.0.1', traceId: 'a'.repeat(32), shadow: false,
  };
}

describe('answers', () => {
  test('live, ready, status', async () => {
    expect(await fixture.get('/live')).toMatchObject({ status: 200, body: { live: true } });
    expect(await fixture.get('/ready')).toMatchObject({ status: 200, body: { ready: true } });
    expect((await fixture.get('/status')).body).toMatchObject({
      nodeId: 'node-1', ready: true, staleSince: null, config: { version: '1.1', persisted: true, from: 'control-plane' }, lastRefusal: null, stallMsMax: 0, identity: null, apps: {}, diskEncrypted: false, controlPlane: { clockOffsetMs: null },
    });
  });

  test('the snapshot without contents of settings, its resources in pages', async () => {
    expect((await fixture.get('/snapshot')).body).toMatchObject({
      subject: 'gateway/edge', version: '1.1', counts: { routes: 3 }, listeners: [{ name: 'plain', kinds: [] }], routes: [{ id: 'gateway/edge/r0', kinds: ['note'], action: 'forward', to: [{ service: 'orders', weight: 1 }] }, {}, {}],
    });
    const first = (await fixture.get('/snapshot/resources?limit=4')).body as { total: number; resources: object[]; next: string };
    const rest = (await fixture.get(`/snapshot/resources?limit=4&after=${first.next}`)).body as { resources: object[]; next: string | null };
    expect(first.resources).toHaveLength(4);
    expect(first.total).toBe(first.resources.length + rest.resources.length);
    expect(rest.next).toBeNull();
  });

  test('endpoints, refusals, why', async () => {
    fixture.dataPlane.refuse(refusal('r-1'));
    expect((await fixture.get('/state')).body).toMatchObject({ services: [{ service: 'orders', endpoints: 1, listed: [{ id: 'a', ports: { http: { port: 80 } } }] }] });
    expect((await fixture.get('/refusals')).body).toMatchObject({ total: 1, refusals: [{ requestId: 'r-1' }] });
    expect(await fixture.get('/why/r-1')).toMatchObject({ status: 200, body: { nodeId: 'node-1', refusals: [{ policy: 'public-api', pointer: '/limits/perIp' }] } });
    expect((await fixture.get('/why/unknown')).status).toBe(404);
  });

  test('what would happen to a request, asked either way', async () => {
    expect((await fixture.get('/route?path=/orders&authority=shop&header=x-a:1')).body).toMatchObject({
      request: { side: 'gateway', method: 'GET', authority: 'shop', path: '/orders', headers: { 'x-a': '1' } },
    });
    const asked = await fixture.get('/route', { method: 'POST', body: JSON.stringify({ side: 'outbound', method: 'post', path: '/x', headers: { 'X-B': '2' } }) });
    expect(asked.body).toMatchObject({ request: { side: 'outbound', method: 'POST', headers: { 'x-b': '2' } } });
    expect(await fixture.get('/route?side=nowhere&nonsense=1')).toMatchObject({
      status: 400, body: { detail: 'nonsense: is not known; known are side, listener, method, authority, path, header; side: must be one of inbound, outbound, gateway; path: is needed and must start with /' },
    });
    expect((await fixture.get('/route', { method: 'POST', body: '[' })).status).toBe(400);
  });

  test('metrics in Prometheus\' format, histograms cumulative', async () => {
    const counts = Array.from({ length: 200 }, () => 0);
    counts[0] = 2;
    fixture.dataPlane.series = [{
      side: 'gateway', route: 'a"b', destination: 'orders', target: '', requests: 2, statusClasses: [0, 0, 2, 0, 0, 0], codes: new Map(), grpcCodes: [1, ...Array<number>(13).fill(0), 6, 0, 0, 2], bytesIn: 0, bytesOut: 0,
      latency: { counts, sum: 0.02, max: 0.01 }, refusals: [{ reason: 'no-route', kind: '', policy: '', shadow: true, count: 4 }], retries: 1, active: 0,
      tunnels: { opened: 5, active: 2, messagesIn: 7, messagesOut: 8 },
    }];
    const { text } = await fixture.get('/metrics');
    expect(text).toContain('remora_requests_total{side="gateway",route="a\\"b",destination="orders",class="2xx"} 2');
    expect(text).toContain('remora_tunnels_active{side="gateway",route="a\\"b",destination="orders"} 2');
    expect(text).toContain('remora_tunnel_messages_total{side="gateway",route="a\\"b",destination="orders",direction="out"} 8');
    const calls = text.split('\n').filter((line) => line.startsWith('remora_grpc_calls_total{'));
    expect(calls.map((line) => line.slice(line.indexOf('code=')))).toEqual(['code="OK"} 1', 'code="UNAVAILABLE"} 6', 'code="other"} 2']);
    expect(text).toContain('le="+Inf"} 2');
    expect(text).toContain('remora_refusals_total{side="gateway",route="a\\"b",destination="orders",reason="no-route",kind="",policy="",shadow="true"} 4');
    expect(text).toMatch(/# TYPE remora_request_duration_milliseconds histogram/);
    expect(text).toContain('remora_config_version_index 1');
  });
});

describe('refuses', () => {
  test('what it does not know, with what it does', async () => {
    expect(await fixture.get('/nothing')).toMatchObject({ status: 404, body: { title: 'not-found' } });
    expect(await fixture.get('/drain')).toMatchObject({ status: 405, body: { detail: '/drain answers POST' } });
    expect((await fixture.get('/route', { method: 'POST', body: 'x'.repeat(70_000) })).status).toBe(413);
  });

  test('a client that speaks HTTP/2, in its own words', async () => {
    const session = connectHttp2(`http://${fixture.sidecar.admin}`);
    const goaway = Promise.withResolvers<{ code: number; text: string }>();
    session.on('goaway', (code, _last, data) => goaway.resolve({ code, text: Buffer.from(data ?? '').toString() }));
    session.on('error', () => {});
    expect(await goaway.promise).toEqual({ code: 0x0d, text: 'the admin interface speaks HTTP/1.1 only' });
    session.destroy();
  });

  test('bytes that are no HTTP', async () => {
    const { hostname, port } = new URL(`http://${fixture.sidecar.admin}`);
    const socket = connectTcp(Number(port), hostname);
    socket.write('\u0016\u0003\u0001 nonsense\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toContain('400 Bad Request');
  });

  test('pages in a browser, and names that point to it', async () => {
    const { hostname, port } = new URL(`http://${fixture.sidecar.admin}`);
    const status = (headers: Record<string, string>): Promise<number | undefined> => new Promise((resolve) => {
      httpRequest({ host: hostname, port, path: '/drain', method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });
    expect(await status({ origin: 'http://evil.example' })).toBe(403);
    expect(await status({ host: 'evil.example' })).toBe(421);
    expect((await fixture.get('/ready')).body).toMatchObject({ ready: true });
  });

  test('an address that is not loopback, unless told', async () => {
    const options = { allowRemote: false, inspection: fixture.sidecar.inspection, metrics: () => Promise.resolve(''), defaultSide: 'gateway' as const, drain: () => {} };
    await expect(startAdminServer({ ...options, address: { host: '0.0.0.0', port: 0 } })).rejects.toThrow('the admin interface binds loopback only, not 0.0.0.0');
  });
});

test('the page of metrics in docs is made from the table', () => {
  expectGolden(path.resolve(import.meta.dirname, '../../../docs/metrics-sidecar.md'), metricsPage());
});
