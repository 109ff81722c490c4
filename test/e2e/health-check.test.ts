import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server, type ServerResponse } from 'node:http';
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
  /** Of the last check by a caller: what the app is told of who asks. */
  certificate = '';
  readonly #server: Server;
  #held: ServerResponse[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      if (request.url !== '/healthz') {
        this.called++;
        if (request.url === '/held') this.#held.push(response);
        else response.end('app');
        return;
      }
      this.checked++;
      // Its own sidecar asks too, and shows none.
      this.certificate = String(request.headers['x-forwarded-client-cert'] ?? this.certificate);
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

  /** Requests that wait for `release`. */
  get holding(): number {
    return this.#held.length;
  }

  release(): void {
    for (const response of this.#held.splice(0)) response.end('app');
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
healthCheck: {interval: 1s, timeout: 1s, unhealthyThreshold: 2, healthyThreshold: 2, http: {path: /healthz}}
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

  function call(web: RunningSidecar, host: string, path = '/'): Promise<number> {
    return new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: web.ports['outbound'], path, headers: { host } }, (answer) => {
        answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
      }).once('error', reject);
    });
  }

  /** Of the sidecars of orders that say that their app is not ready: why. */
  async function appsOf(api: string): Promise<readonly string[]> {
    const { items } = await (await fetch(`${api}/v1/sidecars`)).json() as { readonly items: readonly { readonly subject: string; readonly appReady: boolean; readonly appProblem?: string }[] };
    return items.flatMap(({ subject, appReady, appProblem = '' }) => (subject === 'service/orders' && !appReady && appProblem !== '' ? [appProblem] : []));
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
    await until('a caller asks', () => Promise.resolve(orders.certificate), (certificate) => certificate !== '');
    expect(orders.certificate).toMatch(/^By=spiffe:\/\/shop\.example\/service\/orders;Hash=[0-9a-f]{64};URI=spiffe:\/\/shop\.example\/service\/web$/);
    await until('it can be called', () => call(web, 'orders'), (status) => status === 200);
  });

  test('an app that is not well by its service\'s own check leaves the sets of all callers, loses nothing in flight, is told of everywhere, and comes back', async () => {
    const [ill, well] = [await app(), await app()];
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`${twoServices}---${checks('orders')}`);
    const flags = ['--control-plane', controlPlane.push, '--telemetry-interval', '1s'];
    const sidecar = async (one: CheckedApp): Promise<RunningSidecar> => fixture.sidecar(['--service', 'orders', '--app', `127.0.0.1:${one.port}`, '--inbound', '0', '--outbound', '0', '--health-port', '0', ...flags]);
    const [first, second] = [await sidecar(ill), await sidecar(well)];
    const web = await fixture.sidecar(['--service', 'web', '--outbound', '0', ...flags]);
    await untilInSync(controlPlane.api, 3);
    await until('both are used', () => call(web, 'orders'), () => ill.called > 0 && well.called > 0);
    const held = call(web, 'orders', '/held');
    await until('one is under way', () => Promise.resolve(ill.holding + well.holding), (count) => count === 1);
    const holder = ill.holding === 1 ? ill : well;
    holder.well = false;
    const [item] = await until('its sidecar says so', () => appsOf(controlPlane.api), (list) => list.length > 0);
    expect(item).toMatch(/^\d+ checks in a row of 127\.0\.0\.1:\d+ failed \(GET \/healthz\): 503$/);
    const told = await until('the fleet knows', () => troubles(controlPlane.api, 'orders'), (list) => list.some(({ host }) => host === `127.0.0.1:${holder.port}`));
    expect(told.find(({ host }) => host === `127.0.0.1:${holder.port}`)).toMatchObject({ kind: 'healthCheck', event: 'unhealthy', policies: ['asked'] });
    const statuses = new Set<number>();
    await until('callers use the other one alone', async () => {
      const before = holder.called;
      for (let i = 0; i < 30; i++) statuses.add(await call(web, 'orders'));
      return holder.called - before;
    }, (calls) => calls === 0);
    expect([...statuses]).toEqual([200]);
    const before = holder.called;
    holder.release();
    expect(await held).toBe(200);
    const own = await fetch(`http://127.0.0.1:${(holder === ill ? first : second).ports['health']}/healthz`);
    expect([own.status, await own.text()]).toEqual([503, expect.stringMatching(/failed \(GET \/healthz\): 503\n$/)]);
    holder.well = true;
    await until('it is used again', () => call(web, 'orders'), () => holder.called > before);
    await until('nothing is held against it', () => troubles(controlPlane.api, 'orders'), (list) => list.length === 0);
  });

  async function joined({ api, push, enrolment }: RunningControlPlane, service: string, flags: readonly string[]): Promise<RunningSidecar> {
    const answer = await fetch(`${api}/v1/identity/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ service }) });
    const file = path.join(secrets, `${service}.token`);
    writeFileSync(file, (await answer.json() as { readonly token: string }).token);
    return fixture.sidecar(['--service', service, '--control-plane', push, '--enrolment', enrolment, '--telemetry-interval', '1s', '--join-token-file', file, '--outbound', '0', ...flags]);
  }
});
