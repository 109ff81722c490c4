import { randomBytes } from 'node:crypto';
import { freePort } from '@remora/testing/free-port';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { ask } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';
import { runRemora } from './shop.ts';

/** What is in no revision (keys, Secrets, revocations, orders) is known to be enforced, or who does not enforce it is named. */
let fixture = new Fixture();
let controlPlane: RunningControlPlane;
let gateways: readonly RunningSidecar[] = [];
let ports: readonly number[] = [];

beforeEach(async () => {
  fixture = new Fixture();
  const app = await fixture.app('orders');
  controlPlane = await fixture.controlPlane({ env: { REMORA_CP_ENCRYPTION_KEY: randomBytes(32).toString('base64') } });
  ports = [await freePort(), await freePort()];
  await controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {plain: {port: ${ports[0]}}}}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${app.port}}]}
---
{kind: Route, name: all, gateway: edge, to: [{service: orders}]}
---
{kind: Consumer, name: partner}
---
{kind: Policy, name: keys, target: {gateway: edge}, apiKey: {keyFrom: [{header: x-api-key}]}}
`);
  gateways = await Promise.all(ports.map((port, i) => fixture.sidecar(['--gateway', 'edge', '--node-id', `edge-${i}`, '--listener', `plain=127.0.0.1:${port}`, '--control-plane', controlPlane.push])));
  await untilInSync(controlPlane.api, 2);
});
afterEach(() => fixture.end());

async function statuses(key: string): Promise<number[]> {
  const answers = await Promise.all(ports.map((port) => ask({ port, path: '/', headers: { 'x-api-key': key } })));
  return answers.map(({ status }) => status);
}

test('a key is good at every gateway when `create --wait` ends, and at none when `revoke --wait` ends', async () => {
  for (let round = 0; round < 3; round++) {
    const made = await runRemora(controlPlane.api, ['consumer', 'key', 'create', 'partner', '--wait']);
    expect(made, made.err).toMatchObject({ code: 0, err: expect.stringMatching(/^apiKey \S+ \(.*shown this once\nenforced by 2 of 2( in \d+ ms)?\n$/) });
    const key = made.out.trim();
    expect(await statuses(key)).toEqual([200, 200]);
    const [id = ''] = /\S+(?= \()/.exec(made.err) ?? [];
    const revoked = await runRemora(controlPlane.api, ['consumer', 'key', 'revoke', 'partner', id, '--wait']);
    expect(revoked, revoked.err).toMatchObject({ code: 0, err: expect.stringMatching(/^enforced by 2 of 2/) });
    expect(await statuses(key)).toEqual([401, 401]);
  }
}, 120_000);

test('a sidecar that does not answer is named, and so is one that went without a word', async () => {
  const made = await runRemora(controlPlane.api, ['consumer', 'key', 'create', 'partner', '--wait']);
  const key = made.out.trim();
  const [id = ''] = /\S+(?= \()/.exec(made.err) ?? [];
  gateways[1]?.process.kill('SIGSTOP');
  const late = await runRemora(controlPlane.api, ['consumer', 'key', 'revoke', 'partner', id, '--wait', '--timeout', '5s']);
  expect(late.code).toBe(4);
  expect(late.err).toMatch(/^enforced by 1 of 2.* \(1 pending\)\n {2}edge-1 \(gateway\/edge\) pending\n$/);
  gateways[1]?.process.kill('SIGCONT');
  const answer = await fetch(`${controlPlane.api}/v1/enforcement/consumers?timeout=30s`);
  expect(await answer.json()).toMatchObject({ of: 'consumers', done: true, counts: { total: 2, applied: 2, pending: 0, offline: 0 } });
  expect(await statuses(key)).toEqual([401, 401]);
  gateways[1]?.process.kill('SIGKILL');
  await until('it is out of contact', async () => (await (await fetch(`${controlPlane.api}/v1/sidecars`)).json() as { readonly counts: { readonly offline?: number } }).counts.offline, (offline) => offline === 1);
  const again = await runRemora(controlPlane.api, ['consumer', 'key', 'create', 'partner', '--wait']);
  expect(again.code).toBe(0);
  expect(again.err).toMatch(/enforced by 1 of 2.* \(1 offline\)\n {2}edge-1 \(gateway\/edge\) offline: if it runs, it goes on with what it had\n$/);
}, 120_000);
