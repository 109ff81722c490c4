import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';

/** An instance that answers with the status it is told to. */
class Instance {
  status = 200;
  seen = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (_request, response) => {
      this.seen++;
      response.writeHead(this.status).end();
    });
  }

  static async start(): Promise<Instance> {
    const server = createServer();
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return new Instance(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

interface Health {
  readonly callers: readonly { readonly caller: string; readonly instances: number; readonly troubled: number }[];
  readonly troubles: readonly { readonly kind: string; readonly event: string; readonly host: string; readonly held: number; readonly of: number; readonly pointer: string; readonly policies: readonly string[]; readonly detail: string }[];
  readonly orders: readonly { readonly host: string; readonly what: string; readonly reason: string }[];
}

describe('three instances of payments, called through the sidecar of web', () => {
  let fixture = new Fixture();
  let controlPlane: RunningControlPlane;
  let web: RunningSidecar;
  let instances: readonly Instance[] = [];

  beforeEach(async () => {
    instances = await Promise.all([Instance.start(), Instance.start(), Instance.start()]);
    controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`
{kind: Service, name: web, ports: {http: {port: 80, protocol: http}}, dependsOn: [payments]}
---
{kind: Service, name: payments, ports: {http: {port: 80, protocol: http}}, endpoints: [${instances.map(({ port }) => `{address: 127.0.0.1, port: ${port}}`).join(', ')}]}
---
kind: Policy
name: baseline
target: {}
outlierDetection: {consecutive5xx: 3, baseEjection: 1h, maxEjection: 1h, maxEjected: 40%}
`);
    web = await fixture.sidecar(['--service', 'web', '--app', '127.0.0.1:1', '--inbound', '0', '--outbound', '0', '--control-plane', controlPlane.push, '--telemetry-interval', '1s']);
    await untilInSync(controlPlane.api, 1);
    await until('the first answer', () => call(), (status) => status === 200);
  });

  afterEach(async () => {
    await fixture.end();
    fixture = new Fixture();
    await Promise.all(instances.map((instance) => instance.stop()));
  });

  function call(): Promise<number> {
    return new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: web.ports['outbound'], headers: { host: 'payments' } }, (answer) => {
        answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
      }).once('error', reject);
    });
  }

  async function calls(count: number): Promise<number[]> {
    const statuses: number[] = [];
    for (let i = 0; i < count; i++) statuses.push(await call());
    return statuses;
  }

  const address = (index: number): string => `127.0.0.1:${instances[index]?.port ?? 0}`;

  async function health(): Promise<Health> {
    return await (await fetch(`${controlPlane.api}/v1/services/payments/health`)).json() as Health;
  }

  async function post(action: 'eject' | 'uneject', body: object): Promise<number> {
    return (await fetch(`${controlPlane.api}/v1/services/payments/${action}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).status;
  }

  /** Requests that instances get of the next so many. */
  async function shares(count: number): Promise<number[]> {
    const before = instances.map(({ seen }) => seen);
    await calls(count);
    return instances.map(({ seen }, i) => seen - (before[i] ?? 0));
  }

  test('one that fails is left out after so many failures, is told of with its figures, and comes back when somebody takes it back', async () => {
    const [failing] = instances as [Instance];
    let failures = 0;
    failing.status = 500;
    // The balancer may avoid for a while whom it has seen slow: it is asked until it has met the failing one.
    await until('it has failed often enough', async () => { failures += (await calls(10)).filter((status) => status === 500).length; return failures; }, (count) => count >= 3);
    failures += (await calls(60)).filter((status) => status === 500).length;
    expect(failures).toBe(3);
    const { troubles, callers } = await until('the fleet knows', health, (view) => view.troubles.length > 0);
    expect(troubles).toMatchObject([{ kind: 'outlierDetection', event: 'ejected', host: address(0), held: 1, of: 1, pointer: '/consecutive5xx', policies: ['baseline'], detail: 'consecutive-5xx, 3 of 3' }]);
    expect(callers).toEqual([{ caller: 'service/web', instances: 1, troubled: 1 }]);
    const shown = await (await fetch(`http://127.0.0.1:${web.ports['admin']}/troubles`)).json() as { readonly held: readonly object[] };
    expect(shown.held).toHaveLength(1);
    failing.status = 200;
    expect((await shares(30))[0]).toBe(0);
    expect(await post('uneject', { host: address(0) })).toBe(200);
    await until('it is used again', () => shares(10), ([share = 0]) => share > 0);
    await until('nothing is held against it', health, (view) => view.troubles.length === 0);
  });

  test('one that somebody takes out gets nothing until it is taken back', async () => {
    expect(await post('eject', { host: address(1), for: '1h', reason: 'its disk is full' })).toBe(200);
    await until('it gets nothing', () => shares(20), (share) => share[1] === 0);
    const view = await until('the fleet knows', health, ({ troubles }) => troubles.length > 0);
    expect(view.troubles).toMatchObject([{ kind: 'host', event: 'taken-out', host: address(1), held: 1 }]);
    expect(view.orders).toMatchObject([{ host: address(1), what: 'out', reason: 'its disk is full' }]);
    expect(await post('uneject', { host: address(1) })).toBe(200);
    await until('it is used again', () => shares(10), (share) => (share[1] ?? 0) > 0);
  });

  test('a host that the service does not have is refused, naming those it has', async () => {
    const answer = await fetch(`${controlPlane.api}/v1/services/payments/eject`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"host": "10.9.9.9:1"}' });
    expect([answer.status, ((await answer.json()) as { readonly detail: string }).detail]).toEqual([404, `payments has no host "10.9.9.9:1"; it has ${[0, 1, 2].map(address).sort().join(', ')}`]);
  });

  test('where the share of ejected hosts is reached, the rest is used however they fail', async () => {
    for (const instance of instances) instance.status = 503;
    await calls(60);
    const { troubles } = await until('the fleet knows', health, (view) => view.troubles.length > 0);
    expect(troubles).toHaveLength(1);
    const share = await shares(40);
    expect([share[[0, 1, 2].findIndex((index) => address(index) === troubles[0]?.host)], share.reduce((sum, one) => sum + one, 0)]).toEqual([0, 40]);
  });
});
