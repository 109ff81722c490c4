import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { ask, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';

/** An app that answers nobody until it is told to. */
class HoldingApp {
  readonly held: ServerResponse[] = [];
  readonly server: Server = createServer((_, response) => {
    if (this.open) response.end('done');
    else this.held.push(response);
  });
  open = false;

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => { this.server.listen(0, '127.0.0.1', resolve); });
    return (this.server.address() as AddressInfo).port;
  }

  release(): void {
    for (const response of this.held.splice(0)) response.end('done');
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => { this.server.close(resolve); });
  }
}

interface Health {
  readonly troubles: readonly { readonly kind: string; readonly event: string; readonly pointer: string; readonly policies: readonly string[] }[];
}

describe('an app that is as busy as it may be', () => {
  let fixture: Fixture;
  let app: HoldingApp;
  let controlPlane: RunningControlPlane;
  let orders: RunningSidecar;

  const limited = (rest: string): string => `
{kind: Policy, name: load, target: {service: orders}, concurrency: {mode: fixed, limit: 6, priorities: {batch: {share: 50%, match: {headers: {x-kind: {exact: batch}}}}}${rest}}}
`;

  beforeEach(async () => {
    fixture = new Fixture();
    app = new HoldingApp();
    const port = await app.listen();
    controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}}\n---\n${limited('')}`);
    orders = await fixture.sidecar(['--service', 'orders', '--app', `127.0.0.1:${port}`, '--inbound', '0', '--control-plane', controlPlane.push, '--telemetry-interval', '1s', '--workers', '1']);
    await untilInSync(controlPlane.api, 1);
  });

  afterEach(async () => {
    await fixture.end();
    await app.close();
  });

  const send = (headers: Readonly<Record<string, string>> = {}): Promise<Answer> => ask({ port: orders.ports['inbound'] ?? 0, path: '/', headers });

  test('takes what it can work on, the rest is told at once when to come again, and the less important first', async () => {
    const running = Array.from({ length: 3 }, () => send());
    await until('three are under way', () => app.held.length, (count) => count === 3);
    // Half of the limit is in use: a batch job does not get more.
    expect(await send({ 'x-kind': 'batch' })).toMatchObject({ status: 503, headers: { 'x-remora-reason': 'concurrency-limited', 'x-remora-origin': 'remora', 'retry-after': '1' } });
    running.push(...Array.from({ length: 3 }, () => send()));
    await until('six are under way', () => app.held.length, (count) => count === 6);
    const shed = await Promise.all(Array.from({ length: 5 }, () => send()));
    expect(shed.map(({ status, headers }) => `${status} ${String(headers['x-remora-reason'])}`)).toEqual(Array.from({ length: 5 }, () => '503 concurrency-limited'));
    expect(app.held).toHaveLength(6);
    const { troubles } = await until('the fleet knows that it sheds', async () => await (await fetch(`${controlPlane.api}/v1/services/orders/health`)).json() as Health, (view) => view.troubles.length > 0);
    expect(troubles).toMatchObject([{ kind: 'concurrency', event: 'shedding', policies: ['load'] }]);
    app.open = true;
    app.release();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect((await send({ 'x-kind': 'batch' })).status).toBe(200);
  });

  test('in shadow everything reaches it', async () => {
    await controlPlane.apply(limited(', enforcement: shadow'), '?wait=applied&timeout=60s');
    const all = Array.from({ length: 12 }, () => send());
    await until('all are under way', () => app.held.length, (count) => count === 12);
    app.release();
    expect((await Promise.all(all)).every(({ status }) => status === 200)).toBe(true);
  });
});
