import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, twoServices, untilInSync } from './fixture.ts';

/** An app whose answer to `/healthz` the test chooses. */
class CheckedApp {
  well = true;
  checked = 0;
  called = 0;
  /** Of the last check: what the app is told of who asks. */
  certificate = '';
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      if (request.url !== '/healthz') {
        this.called++;
        response.end('app');
        return;
      }
      this.checked++;
      this.certificate = String(request.headers['x-forwarded-client-cert'] ?? '');
      response.writeHead(this.well ? 200 : 503).end();
    });
  }

  static async start(): Promise<CheckedApp> {
    const server = createServer();
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return new CheckedApp(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

interface Trouble { readonly kind: string; readonly event: string; readonly host: string; readonly detail: string; readonly policies: readonly string[] }

const checks = (service: string): string => `
kind: Policy
name: asked
target: {service: ${service}}
healthCheck: {interval: 200ms, timeout: 200ms, unhealthyThreshold: 2, healthyThreshold: 2, http: {path: /healthz}}
`;

describe('hosts that callers ask whether they are well', () => {
  let fixture: Fixture;
  let secrets: string;
  let apps: CheckedApp[];
  beforeEach(() => {
    fixture = new Fixture();
    apps = [];
    secrets = mkdtempSync(path.join(tmpdir(), 'remora-e2e-checks-'));
  });
  afterEach(async () => {
    await fixture.end();
    await Promise.all(apps.map((app) => app.stop()));
    rmSync(secrets, { recursive: true });
  });

  async function app(): Promise<CheckedApp> {
    const made = await CheckedApp.start();
    apps.push(made);
    return made;
  }

  function call(web: RunningSidecar, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: web.ports['outbound'], headers: { host } }, (answer) => {
        answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
      }).once('error', reject);
    });
  }

  async function troubles(api: string, service: string): Promise<readonly Trouble[]> {
    return (await (await fetch(`${api}/v1/services/${service}/health`)).json() as { readonly troubles: readonly Trouble[] }).troubles;
  }

  test('one that is not gets no requests, is told of, and gets some again when it is', async () => {
    const [ill, well] = [await app(), await app()];
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`
{kind: Service, name: web, ports: {http: {port: 80, protocol: http}}, dependsOn: [payments]}
---
{kind: Service, name: payments, ports: {http: {port: 80, protocol: http}}, endpoints: [{address: 127.0.0.1, port: ${ill.port}}, {address: 127.0.0.1, port: ${well.port}}]}
---${checks('payments')}`);
    const web = await fixture.sidecar(['--service', 'web', '--app', '127.0.0.1:1', '--inbound', '0', '--outbound', '0', '--control-plane', controlPlane.push, '--telemetry-interval', '1s']);
    await untilInSync(controlPlane.api, 1);
    await until('both are used', () => call(web, 'payments'), () => ill.called > 0 && well.called > 0);
    ill.well = false;
    const [trouble] = await until('the fleet knows', () => troubles(controlPlane.api, 'payments'), (list) => list.length > 0);
    expect(trouble).toMatchObject({ kind: 'healthCheck', event: 'unhealthy', host: `127.0.0.1:${ill.port}`, detail: '2 checks in a row failed: 503', policies: ['asked'] });
    const before = ill.called;
    for (let i = 0; i < 30; i++) expect(await call(web, 'payments')).toBe(200);
    expect(ill.called).toBe(before);
    ill.well = true;
    await until('it is used again', () => call(web, 'payments'), () => ill.called > before);
    await until('nothing is held against it', () => troubles(controlPlane.api, 'payments'), (list) => list.length === 0);
  });

  test('an instance of the mesh is asked as its callers call it: by mutual TLS, for the certificate of its service', async () => {
    const orders = await app();
    writeFileSync(path.join(secrets, 'key'), randomBytes(32).toString('base64'), { mode: 0o600 });
    const controlPlane = await fixture.controlPlane({ flags: ['--identity', 'mtls', '--enrolment-port', '0', '--encryption-key-file', path.join(secrets, 'key')] });
    await controlPlane.apply(`${twoServices}---\n{kind: Mesh, name: mesh, trustDomain: shop.example}\n---${checks('orders')}---\n{kind: Policy, name: strict, target: {services: all}, mtls: {mode: strict}}\n`);
    await joined(controlPlane, 'orders', ['--app', `127.0.0.1:${orders.port}`, '--inbound', '0']);
    const web = await joined(controlPlane, 'web', []);
    await untilInSync(controlPlane.api, 2);
    await until('it is asked', () => Promise.resolve(orders.checked), (checked) => checked > 0);
    expect(orders.certificate).toMatch(/^By=spiffe:\/\/shop\.example\/service\/orders;Hash=[0-9a-f]{64};URI=spiffe:\/\/shop\.example\/service\/web$/);
    await until('it can be called', () => call(web, 'orders'), (status) => status === 200);
    orders.well = false;
    const [trouble] = await until('the fleet knows', () => troubles(controlPlane.api, 'orders'), (list) => list.length > 0);
    expect(trouble).toMatchObject({ kind: 'healthCheck', event: 'unhealthy', detail: '2 checks in a row failed: 503' });
    // The only one: above the panic threshold it is used all the same.
    expect(await call(web, 'orders')).toBe(200);
  });

  async function joined({ api, push, enrolment }: RunningControlPlane, service: string, flags: readonly string[]): Promise<RunningSidecar> {
    const answer = await fetch(`${api}/v1/identity/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ service }) });
    const file = path.join(secrets, `${service}.token`);
    writeFileSync(file, (await answer.json() as { readonly token: string }).token);
    return fixture.sidecar(['--service', service, '--control-plane', push, '--enrolment', enrolment, '--telemetry-interval', '1s', '--join-token-file', file, '--outbound', '0', ...flags]);
  }
});
