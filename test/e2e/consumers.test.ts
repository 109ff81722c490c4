import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import type tls from 'node:tls';
import { freePort } from '@remora/testing/free-port';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunningControlPlane } from '../processes/remora.ts';
import { ask, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture } from './fixture.ts';

let fixture = new Fixture();
let log = '';
const hear = (text: string): void => {
  log += text;
};
beforeEach(() => {
  log = '';
  fixture = new Fixture();
});
afterEach(async () => {
  await fixture.end();
});

const withKey = { bundled: false, env: { REMORA_CP_ENCRYPTION_KEY: randomBytes(32).toString('base64') } };

async function call(controlPlane: RunningControlPlane, method: string, target: string, body?: object): Promise<Record<string, unknown>> {
  const answer = await fetch(`${controlPlane.api}${target}`, { method, ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}) });
  const read = await answer.json() as Record<string, unknown>;
  if (!answer.ok) throw new Error(`${method} ${target} answered ${answer.status}: ${JSON.stringify(read)}`);
  return read;
}

const outcome = ({ status, headers }: Answer): string => `${status} ${String(headers['x-remora-reason'] ?? '')}`.trim();

/** Everything in the files below a folder. */
function filesBelow(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'latin1')).join('\n');
}

test('a gateway with keys: 401 without one, 200 with one, 429 by its Plan, 401 when it is revoked; it goes on without the control plane', async () => {
  const app = await fixture.app('orders');
  const controlPlane = await fixture.controlPlane({ ...withKey, onLog: hear });
  const port = await freePort();
  await controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {plain: {port: ${port}}}}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${app.port}}]}
---
{kind: Route, name: all, gateway: edge, to: [{service: orders}]}
---
{kind: Plan, name: small, limits: {few: {requests: 2, per: 30d, algorithm: fixedWindow}}}
---
{kind: Consumer, name: app, plan: small}
---
{kind: Consumer, name: other}
---
{kind: Policy, name: keys, target: {gateway: edge}, apiKey: {keyFrom: [{header: x-api-key}]}, rateLimit: {limits: {perConsumer: {requests: 1000, per: 1m, key: [consumer]}}}}
`);
  const gateway = await fixture.sidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { bundled: false, onLog: hear });
  gateway.process.stdout?.on('data', hear);
  const get = (key?: string): Promise<Answer> => ask({ port, path: '/a', headers: key === undefined ? {} : { 'x-api-key': key } });
  await until('the gateway asks for a key', () => get(), (answer) => answer.status === 401);
  expect(outcome(await get())).toBe('401 authentication-required');

  const made = await call(controlPlane, 'POST', '/v1/consumers/app/credentials/apiKey', {}) as { readonly secret: string; readonly credential: { readonly id: string } };
  const others = await call(controlPlane, 'POST', '/v1/consumers/other/credentials/apiKey', {}) as { readonly secret: string };
  await until('the keys are good', () => get(others.secret), (answer) => answer.status === 200);
  expect([outcome(await get(made.secret)), outcome(await get(made.secret)), outcome(await get(made.secret))]).toEqual(['200', '200', '429 rate-limited']);
  expect(outcome(await get(others.secret))).toBe('200');
  expect(outcome(await get('guessed-key-0123456789'))).toBe('401 api-key-invalid');

  await call(controlPlane, 'DELETE', `/v1/consumers/app/credentials/${made.credential.id}`);
  await until('the key is revoked', () => get(made.secret), (answer) => outcome(answer) === '401 api-key-invalid');

  controlPlane.process.kill('SIGKILL');
  expect(outcome(await get(others.secret))).toBe('200');
  const admin = `http://127.0.0.1:${gateway.ports['admin']}`;
  const shown = await Promise.all(['/metrics', '/status', '/snapshot', '/state'].map(async (page) => (await fetch(`${admin}${page}`)).text()));
  for (const secret of [made.secret, others.secret]) {
    for (const place of [...shown, log, filesBelow(gateway.folder), filesBelow(controlPlane.folder)]) expect(place).not.toContain(secret.slice(12));
  }
}, 120_000);

test('a certificate from a Secret: it comes after the listener, changes without a restart, and is in no answer and no log', async () => {
  const authority = new TestAuthority();
  const app = await fixture.app('orders');
  const controlPlane = await fixture.controlPlane({ ...withKey, onLog: hear });
  const port = await freePort();
  await controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {secure: {port: ${port}, protocol: https, tls: {certificates: [{secret: shop-cert}]}}}}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${app.port}}]}
---
{kind: Route, name: all, gateway: edge, to: [{service: orders}]}
`);
  const gateway = await fixture.sidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { bundled: false, onLog: hear });
  gateway.process.stdout?.on('data', hear);
  const shown = (): Promise<string> => new Promise((resolve) => {
    https.get({ host: '127.0.0.1', port, servername: 'shop.test', ca: authority.cert, headers: { host: 'shop.test' }, agent: false }, (response) => {
      const subject = (response.socket as tls.TLSSocket).getPeerX509Certificate()?.subject ?? '';
      response.resume().on('end', () => resolve(`${response.statusCode ?? 0} ${subject}`));
    }).on('error', () => resolve('refused'));
  });
  const admin = `http://127.0.0.1:${gateway.ports['admin']}`;
  const status = (): Promise<string> => fetch(`${admin}/status`).then((response) => response.text());
  await until('the missing Secret is told', status, (text) => text.includes('Secret shop-cert is not here'));
  expect(await shown()).toBe('refused');

  const keys: string[] = [];
  for (const commonName of ['first', 'second']) {
    const pair = authority.issue({ commonName, dns: ['shop.test'] });
    keys.push(pair.key.split('\n')[1] ?? '');
    await call(controlPlane, 'PUT', '/v1/secrets/shop-cert', { value: `${pair.cert}\n${pair.key}` });
    await until(`the ${commonName} certificate is shown`, shown, (got) => got === `200 CN=${commonName}`);
  }
  await call(controlPlane, 'PUT', '/v1/secrets/shop-cert', { value: 'no certificate at all' });
  await until('what cannot be used is told', status, (text) => text.includes('holds no certificate'));
  expect(await shown()).toBe('200 CN=second');
  const pages = await Promise.all(['/metrics', '/status', '/snapshot', '/state'].map(async (page) => (await fetch(`${admin}${page}`)).text()));
  const answers = await Promise.all(['/v1/secrets', '/v1/secrets/shop-cert', '/v1/sidecars', '/v1/revisions', '/metrics'].map(async (page) => (await fetch(`${controlPlane.api}${page}`)).text()));
  for (const key of keys) for (const place of [...pages, ...answers, log, filesBelow(controlPlane.folder)]) expect(place).not.toContain(key);
}, 120_000);
