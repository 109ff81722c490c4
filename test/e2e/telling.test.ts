import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, statusOf, untilInSync } from './fixture.ts';

interface Listener { readonly name: string; readonly port: number }

async function json(url: string): Promise<Record<string, unknown>> {
  return await (await fetch(url)).json() as Record<string, unknown>;
}

/** What a request came to, told by every part that tells of it: real processes, one gateway before one service. */
describe('what happened is told', () => {
  let fixture = new Fixture();
  let controlPlane: RunningControlPlane;
  let gateway: RunningSidecar;
  let port = 0;
  afterEach(async () => {
    await fixture.end();
    fixture = new Fixture();
  });

  async function start(policies: string): Promise<void> {
    const app = createServer((request, response) => {
      if (!request.url?.startsWith('/slow')) response.end('app');
    });
    await new Promise<void>((resolve) => { app.listen(0, '127.0.0.1', resolve); });
    app.unref();
    const address = app.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}
---
{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}}
---
{kind: Service, name: dead, ports: {http: {port: 80, protocol: http}}, endpoints: [{address: 127.0.0.1, port: 1}]}
---
{kind: Route, name: all, gateway: edge, match: {path: {prefix: /}}, to: [{service: orders}]}
---
{kind: Route, name: dead, gateway: edge, match: {path: {prefix: /dead}}, to: [{service: dead}]}
---
${policies}`);
    const common = ['--control-plane', controlPlane.push, '--telemetry-interval', '1s'];
    gateway = await fixture.sidecar(['--gateway', 'edge', ...common]);
    await fixture.sidecar(['--service', 'orders', '--app', `127.0.0.1:${address.port}`, '--inbound', '0', '--outbound', '0', ...common]);
    await untilInSync(controlPlane.api, 2);
    const { listeners } = await statusOf(gateway) as { readonly listeners: readonly Listener[] };
    port = listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
    await until('the first answer', () => get('/first'), ({ status }) => status === 200);
  }

  function get(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${port}${path}`, { headers: { origin: 'https://web.example' } });
  }

  const metricsOf = async (url: string): Promise<string> => await (await fetch(url)).text();

  test('who set the limit on time that a request ran into, though the callee has a sidecar too', async () => {
    await start(`
{kind: Policy, name: patience, target: {service: orders}, timeout: {request: 300ms}}
---
{kind: Policy, name: log, target: {gateway: edge}, accessLog: {output: file, fields: {from: "\${header.origin}"}}}
`);
    for (const nth of [1, 2, 3]) {
      const answer = await get(`/slow/${nth}`);
      expect(answer.status).toBe(504);
      const { requestId } = await answer.json() as { readonly requestId: string };
      const why = await until('the reason is known', () => json(`${controlPlane.api}/v1/why/${requestId}`), (told) => JSON.stringify(told).includes('upstream-timeout'));
      expect(JSON.stringify(why)).toContain('"policy":"patience"');
      expect(JSON.stringify(why)).toContain('"pointer":"/timeout/request"');
    }
    const log = path.join(gateway.folder, 'logs', 'access.log');
    const lines = await until('the log is written', () => Promise.resolve(existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter((line) => line.includes('/slow/')) : []), (found) => found.length === 3);
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({ status: 504, reason: 'upstream-timeout', flag: 'UT', policyKind: 'timeout', policyField: '/request', route: 'all', from: 'https://web.example' });
    }
  });

  test('what a policy in shadow would have refused, apart from what was refused', async () => {
    await start('{kind: Policy, name: trial, target: {gateway: edge}, rateLimit: {enforcement: shadow, limits: {all: {requests: 1, per: 30d}}}}');
    for (let nth = 0; nth < 5; nth++) expect((await get('/')).status).toBe(200);
    const shadowLine = /^remora_refusals_total\{.*reason="rate-limited".*policy="trial",shadow="true"\} (\d+)$/m;
    const fleetLine = /^remora_fleet_refusals_total\{reason="rate-limited",kind="rateLimit",policy="trial",shadow="true"\} [1-9]/m;
    await until('the sidecar counts', () => metricsOf(`http://127.0.0.1:${gateway.ports['admin']}/metrics`), (text) => Number(shadowLine.exec(text)?.[1]) >= 5);
    const fleet = await until('the control plane counts', () => metricsOf(`${controlPlane.api}/metrics`), (text) => fleetLine.test(text));
    const lines = fleet.split('\n').filter((line) => line.includes('rate-limited'));
    expect(lines.filter((line) => line.includes('shadow="true"')).length).toBeGreaterThan(0);
    expect(lines.filter((line) => line.includes('shadow="false"'))).toEqual([]);
    const top = await json(`${controlPlane.api}/v1/telemetry/top`) as { readonly items: readonly { readonly name: string; readonly refused: number }[] };
    const summary = JSON.stringify(await json(`${controlPlane.api}/v1/telemetry/summary`));
    expect(summary).toMatch(/"shadow":\[\{"reason":"rate-limited"/);
    expect(top.items.map(({ name }) => name)).toContain('gateway/edge');
  });

  test('to a browser, also where the upstream failed and the answer is rewritten', async () => {
    await start(`
kind: Policy
name: edge-all
target: {gateway: edge}
cors: {origins: ["https://web.example"]}
errorResponse: {responses: {broken: {classes: [5xx], status: 500, bodies: {text/plain: "sorry: \${reason.code}"}}}}
`);
    const answer = await get('/dead/x');
    expect(answer.status).toBe(500);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://web.example');
    expect(answer.headers.get('x-remora-reason')).toBe('connect-failure');
    expect(await answer.text()).toBe('sorry: connect-failure');
  });

  test('which callers did not confirm that an instance leaves; a second signal ends it at once', async () => {
    await start('{kind: Policy, name: patience, target: {service: orders}, timeout: {request: 5s}}');
    const app = await fixture.app('leaving');
    const log = path.join(gateway.folder, 'first.log');
    const wrap = (command: readonly string[]): readonly string[] => ['/bin/sh', '-c', 'log=$1; shift; exec "$@" 2>"$log"', 'sh', log, ...command];
    const common = ['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'];
    const first = await fixture.sidecar([...common, '--node-id', 'first'], { wrap });
    const second = await fixture.sidecar([...common, '--node-id', 'second']);
    await untilInSync(controlPlane.api, 4);
    gateway.process.kill('SIGSTOP');
    const gone = once(first.process, 'exit');
    const hurried = once(second.process, 'exit');
    first.process.kill('SIGTERM');
    second.process.kill('SIGTERM');
    await until('it is leaving', () => metricsOf(`http://127.0.0.1:${second.ports['admin']}/ready`), (text) => text.includes('draining'));
    second.process.kill('SIGTERM');
    expect(await hurried).toEqual([130, null]);
    expect(await gone).toEqual([0, null]);
    expect(readFileSync(log, 'utf8')).toMatch(/did not confirm that this instance leaves","callers":\["edge-[^"]+"\]/);
    gateway.process.kill('SIGCONT');
  });
});
