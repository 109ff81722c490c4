import { createServer, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';

/** An instance that answers with the status it is told to, or holds its answers back. */
class Instance {
  status = 200;
  seen = 0;
  holds = false;
  readonly held: ServerResponse[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (_request, response) => {
      this.seen++;
      if (this.holds) this.held.push(response);
      else response.writeHead(this.status).end();
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

  letGo(): void {
    for (const response of this.held.splice(0)) response.writeHead(this.status).end();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly retryAfter: string;
}

interface Health {
  readonly troubles: readonly { readonly kind: string; readonly event: string; readonly pointer: string; readonly policies: readonly string[]; readonly detail: string }[];
  readonly breaker: { readonly what: string; readonly reason: string } | null;
}

describe.each([1, 2])('payments, called through the sidecar of web with %i data threads', (workers) => {
  let fixture = new Fixture();
  let controlPlane: RunningControlPlane;
  let web: RunningSidecar;
  let payments: Instance;

  beforeEach(async () => {
    payments = await Instance.start();
    controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`
{kind: Service, name: web, ports: {http: {port: 80, protocol: http}}, dependsOn: [payments]}
---
{kind: Service, name: payments, ports: {http: {port: 80, protocol: http}}, endpoints: [{address: 127.0.0.1, port: ${payments.port}}]}
---
kind: Policy
name: breaker
target: {service: payments}
circuitBreaker:
  consecutiveFailures: 5
  open: {base: 10s, max: 10s, jitter: 0}
  halfOpen: {successes: 2}
  thresholds: {requests: 3, retries: 1}
`);
    web = await fixture.sidecar(['--service', 'web', '--app', '127.0.0.1:1', '--inbound', '0', '--outbound', '0', '--control-plane', controlPlane.push, '--telemetry-interval', '1s', '--workers', String(workers)]);
    await untilInSync(controlPlane.api, 1);
    await until('the first answer', call, ({ status }) => status === 200);
  });

  afterEach(async () => {
    payments.letGo();
    await fixture.end();
    fixture = new Fixture();
    await payments.stop();
  });

  /** Each over a connection of its own, so that all threads get some. */
  function call(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port: web.ports['outbound'], headers: { host: 'payments' }, agent: false }, (answer) => {
        const { 'x-remora-reason': reason = '', 'retry-after': retryAfter = '' } = answer.headers;
        answer.resume().once('end', () => resolve({ status: answer.statusCode ?? 0, reason: String(reason), retryAfter }));
      }).once('error', reject).end();
    });
  }

  async function health(): Promise<Health> {
    return await (await fetch(`${controlPlane.api}/v1/services/payments/health`)).json() as Health;
  }

  async function order(body: object): Promise<number> {
    return (await fetch(`${controlPlane.api}/v1/services/payments/breaker`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).status;
  }

  test('it fails: the breaker opens, callers are answered at once, a probe tries it, and it closes', async () => {
    payments.status = 500;
    for (let i = 0; i < 5; i++) expect((await call()).status).toBe(500);
    const seen = payments.seen;
    expect(await call()).toMatchObject({ status: 503, reason: 'circuit-open', retryAfter: expect.stringMatching(/^([1-9]|10)$/) as string });
    expect(payments.seen).toBe(seen);
    const { troubles } = await until('the fleet knows', health, (view) => view.troubles.length > 0);
    expect(troubles[0]).toMatchObject({ kind: 'circuitBreaker', pointer: expect.stringMatching(/^\/(consecutiveFailures|halfOpen)$/) as string, policies: ['breaker'] });
    payments.status = 200;
    await until('it closes', call, ({ status }) => status === 200);
    await until('two probes have closed it', async () => (await Promise.all([call(), call()])).map(({ status }) => status), (statuses) => statuses.every((status) => status === 200));
    await until('nothing is held against it', health, (view) => view.troubles.length === 0);
  });

  test('more at once than the threshold: those beyond it are refused, and say why', async () => {
    payments.holds = true;
    const held = Array.from({ length: 3 }, () => call());
    await until('three are under way', () => Promise.resolve(payments.held.length), (count) => count === 3);
    expect(await call()).toMatchObject({ status: 503, reason: 'upstream-overflow' });
    payments.holds = false;
    payments.letGo();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await call()).status).toBe(200);
  });

  test('somebody opens it and closes it; what nobody closes ends by itself, also without the control plane', async () => {
    expect(await order({ action: 'open', for: '1h', reason: 'the ledger is being repaired' })).toBe(200);
    await until('callers are refused', call, ({ reason }) => reason === 'circuit-open');
    expect((await health()).breaker).toMatchObject({ what: 'open', reason: 'the ledger is being repaired' });
    expect(await order({ action: 'close', for: '1s' })).toBe(200);
    await until('callers get through', call, ({ status }) => status === 200);
    expect(await order({ action: 'open', for: '10s' })).toBe(200);
    await until('callers are refused again', call, ({ reason }) => reason === 'circuit-open');
    controlPlane.process.kill('SIGKILL');
    await until('it has ended', call, ({ status }) => status === 200);
  });

  test('settings that contradict each other are refused where they are written, each with its field', async () => {
    const answer = await fetch(`${controlPlane.api}/v1/apply`, {
      method: 'POST', headers: { 'content-type': 'application/yaml' },
      body: 'kind: Policy\nname: wrong\ntarget: {service: web}\ncircuitBreaker: {failureRate: 50%, window: 10, minimumCalls: 20, open: {max: 1s, base: 5s}, thresholds: {requests: 1, retries: 2}}\nconcurrency: {minLimit: 10, maxLimit: 5}\n',
    });
    const { violations = [] } = await answer.json() as { readonly violations?: readonly { readonly pointer: string }[] };
    expect([answer.status, [...new Set(violations.map(({ pointer }) => pointer))].sort()]).toEqual([
      422, ['/circuitBreaker/minimumCalls', '/circuitBreaker/open/max', '/circuitBreaker/thresholds/retries', '/concurrency/maxLimit'],
    ]);
  });
});
