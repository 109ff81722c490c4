import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import { describeWith } from '@remora/testing/requirement';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { afterEach, expect, test } from 'vitest';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';

/** Open Policy Agent's own authorization answers every request to its API; the authorizer's question is one. */
const rules = `package system.authz

default allow := {"allowed": false, "reason": "nobody may"}

allow := {"allowed": true} if {
	input.headers["X-Forwarded-Method"] == ["GET"]
	startswith(input.headers["X-Forwarded-Uri"][0], "/orders")
}

allow := {"allowed": true} if input.headers["X-Role"] == ["clerk"]

allow := {"allowed": true} if input.headers["X-Probe"] == ["ready"]
`;

describeWith('opa', 'externalAuth by Open Policy Agent, over HTTP', (command) => {
  const fixture = new Fixture();
  const folder = scratchFolder('opa');
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    await fixture.end();
    rmSync(folder, { recursive: true, force: true });
  });

  async function startAgent(port: number): Promise<() => Promise<void>> {
    const file = path.join(folder, 'authz.rego');
    writeFileSync(file, rules);
    const child = spawn(command, ['run', '--server', '--disable-telemetry', '--log-level=error', '--authorization=basic', `--addr=127.0.0.1:${port}`, file], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const end = async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended;
    };
    ends.push(end);
    await until('the agent answers', () => fetch(`http://127.0.0.1:${port}/health`, { headers: { 'x-probe': 'ready' } }).then(({ status }) => status, () => 0), (status) => status === 200, 60_000);
    return end;
  }

  test('its rules let in and refuse, with its words; while it is gone nobody is let in; when it is back they are', async () => {
    const port = await freePort();
    const endAgent = await startAgent(port);
    const app = await fixture.app('orders');
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`
{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}}
---
kind: Policy
name: ask-the-agent
target: {service: orders}
externalAuth: {http: {url: "http://127.0.0.1:${port}/health"}, allowPrivateAddresses: true, deadline: 5s}
`);
    const sidecar = await fixture.sidecar(['--service', 'orders', '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--control-plane', controlPlane.push]);
    await untilInSync(controlPlane.api, 1);
    const ask = async (method: string, target: string, role = 'none'): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${sidecar.ports['inbound']}${target}`, { method, headers: { 'x-role': role } });
      const text = await response.text();
      return `${response.status} ${response.headers.get('x-remora-reason') ?? '-'} ${text.includes('nobody may') ? 'nobody may' : response.ok ? text : ''}`.trim();
    };

    expect(await ask('GET', '/orders/7')).toBe('200 - orders');
    expect(await ask('DELETE', '/orders/7', 'clerk')).toBe('200 - orders');
    expect(app.seen).toBe(2);
    for (const [method, target] of [['DELETE', '/orders/7'], ['GET', '/internal']] as const) expect(await ask(method, target)).toBe('401 external-auth-denied nobody may');
    await endAgent();
    expect(await ask('GET', '/orders/7')).toBe('503 external-auth-failed');
    expect(app.seen).toBe(2);
    await startAgent(port);
    await until('it is asked again', () => ask('GET', '/orders/7'), (answer) => answer === '200 - orders');
    expect(await ask('GET', '/internal')).toBe('401 external-auth-denied nobody may');
  }, 120_000);
});
