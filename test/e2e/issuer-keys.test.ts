import { createServer, type Server } from 'node:http';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { TestIssuer } from '@remora/testing/test-issuer';
import { afterEach, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import { startControlPlane, startSidecar, type RunningControlPlane, type RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { statusOf } from './fixture.ts';

/** A gateway in processes of its own, with two data threads, and an issuer that comes and goes. */
const servers: Server[] = [];
const running: { readonly process: RunningSidecar['process'] }[] = [];

afterEach(async () => {
  for (const { process } of running.splice(0)) await stop(process);
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => { server.close(resolve); });
  }
});

async function serve(server: Server, port = 0): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => { server.listen(port, '127.0.0.1', resolve); });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

interface Issuer {
  readonly port: number;
  readonly issuer: TestIssuer;
  keys: readonly string[];
  asked: number;
}

async function startIssuer(port = 0): Promise<Issuer & { readonly server: Server }> {
  const server = createServer((request, response) => {
    at.asked++;
    const body = request.url === '/keys' ? at.issuer.jwks(...at.keys.map((name) => at.issuer.key('ES256', name))) : { issuer: at.issuer.issuer, jwks_uri: `${at.issuer.issuer}/keys` };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  });
  const bound = await serve(server, port);
  const at = { server, port: bound, issuer: new TestIssuer(`http://127.0.0.1:${bound}`), keys: ['a'] as readonly string[], asked: 0 };
  return at;
}

async function startEdge(controlPlane: RunningControlPlane, folder?: string): Promise<RunningSidecar & { readonly port: number }> {
  const sidecar = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push, '--workers', '2'], folder === undefined ? {} : { folder });
  running.push(sidecar);
  // A port is bound before the data threads go over to what is to be enforced there, each for itself.
  await until('it is ready', async () => (await fetch(`http://127.0.0.1:${sidecar.ports['admin']}/ready`)).status, (status) => status === 200);
  const port = await until('the gateway listens', async () => {
    const { listeners } = await statusOf(sidecar) as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
    return listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
  }, (found) => found > 0);
  return { ...sidecar, port };
}

async function get(port: number, token: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization: `Bearer ${token}`, connection: 'close' } });
  await response.body?.cancel();
  return response.headers.get('x-remora-reason') ?? String(response.status);
}

/** From every data thread: each request is on a connection of its own, and one of sixteen meets each of two but once in thirty thousand times. */
async function getAll(port: number, token: string): Promise<string> {
  return [...new Set(await Promise.all(Array.from({ length: 16 }, () => get(port, token))))].sort().join(' ');
}

test('keys of an issuer come before the first request, are asked for when they are new, and outlive the issuer, a restart and the control plane', async () => {
  const app = await serve(createServer((_, response) => response.end('orders')));
  const issuer = await startIssuer();
  const controlPlane = await startControlPlane();
  running.push(controlPlane);
  await controlPlane.apply(`
kind: Service
name: orders
ports: {http: {port: 80, protocol: http}}
endpoints: [{address: 127.0.0.1, ports: {http: ${app}}}]
---
kind: Gateway
name: edge
listeners: {plain: {port: 0}}
---
kind: Route
name: all
gateway: edge
match: {path: {prefix: /}}
to: [{service: orders}]
---
kind: Policy
name: tokens
target: {gateway: edge}
jwt: {issuers: {shop: {issuer: "${issuer.issuer.issuer}", audiences: [orders], allowPrivateAddresses: true}}}
`);
  const edge = await startEdge(controlPlane);
  const token = issuer.issuer.token({}, { key: issuer.issuer.key('ES256', 'a') });
  await until('a token passes', () => getAll(edge.port, token), (seen) => seen === '200');
  expect(await get(edge.port, `${token}A`)).toMatch(/^jwt-(?:invalid|signature)$/);
  expect(await (await fetch(`http://127.0.0.1:${edge.port}/`)).json()).toMatchObject({ status: 401 });

  // The newest key is asked for, once in ten seconds.
  issuer.keys = ['a', 'b'];
  const newer = issuer.issuer.token({}, { key: issuer.issuer.key('ES256', 'b') });
  await until('a token with the new key passes', () => getAll(edge.port, newer), (seen) => seen === '200', 60_000);
  const asked = issuer.asked;
  const foreign = Array.from({ length: 50 }, (_, i) => issuer.issuer.token({}, { key: issuer.issuer.key('ES256', `foreign-${i}`) }));
  expect(new Set(await Promise.all(foreign.map((one) => get(edge.port, one))))).toEqual(new Set(['jwt-key']));
  expect(issuer.asked - asked).toBeLessThanOrEqual(4);

  const status = await until('the control plane shows how old the keys are', async () => {
    const { items } = await (await fetch(`${controlPlane.api}/v1/sidecars`)).json() as { readonly items: readonly { readonly keyAgeSeconds?: Readonly<Record<string, number>>; readonly warming: readonly string[] }[] };
    return items[0];
  }, (seen) => seen?.keyAgeSeconds !== undefined);
  expect(status?.keyAgeSeconds?.[issuer.issuer.issuer]).toBeLessThan(120);
  expect(status?.warming).toEqual([]);

  // Nobody is left but the disk.
  const file = path.join(edge.folder, 'issuer-keys.json');
  await until('the newest keys are on the disk', () => (existsSync(file) ? readFileSync(file, 'utf8') : ''), (text) => text.includes(JSON.stringify(issuer.issuer.key('ES256', 'b').jwk()['x']).slice(1, -1)));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  issuer.server.closeAllConnections();
  issuer.server.close();
  await stop(edge.process);
  await stop(controlPlane.process);
  const again = await startEdge(controlPlane, edge.folder);
  expect(await get(again.port, newer)).toBe('200');
  expect(await get(again.port, token)).toBe('200');
}, 120_000);
