import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { freePort } from '@remora/testing/free-port';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TestAuthority } from '@remora/testing/test-authority';
import { until } from '../processes/until.ts';
import { Fixture } from './fixture.ts';

let fixture = new Fixture();
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'remora-tls-'));
});
afterEach(async () => {
  await fixture.end();
  fixture = new Fixture();
  rmSync(folder, { recursive: true, force: true });
});

const authority = new TestAuthority();

function put(name: string, text: string): void {
  writeFileSync(path.join(folder, name), text);
}

/** What an HTTPS request through the gateway is answered with, and by which certificate. */
function ask(port: number): Promise<{ text: string; shown: string }> {
  return new Promise((resolve, reject) => {
    https.get({ host: '127.0.0.1', port, servername: 'shop.test', ca: authority.cert, headers: { host: 'shop.test' }, agent: false }, (response) => {
      const shown = (response.socket as tls.TLSSocket).getPeerX509Certificate()?.subject ?? '';
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve({ text, shown }));
    }).on('error', reject);
  });
}

test('TLS on both sides of a gateway: refused by field while a file is missing, served when it comes, renewed without a cut', async () => {
  const app = https.createServer(authority.issue({ dns: ['app.internal'] }), (_request, response) => {
    response.end('from the app');
  });
  await new Promise<void>((resolve) => {
    app.listen(0, '127.0.0.1', resolve);
  });
  const address = app.address();
  const appPort = typeof address === 'object' && address !== null ? address.port : 0;
  const shop = authority.issue({ commonName: 'first', dns: ['shop.test'] });
  put('shop.crt', shop.cert);
  put('ca.pem', authority.cert);
  const controlPlane = await fixture.controlPlane();
  const port = await freePort();
  await controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {secure: {port: ${port}, protocol: https, tls: {certificates: [{certFile: ${folder}/shop.crt, keyFile: ${folder}/shop.key}]}}}}
---
{kind: Service, name: app, ports: {http: {port: 443, tls: {serverName: app.internal, caFiles: [${folder}/ca.pem]}}}, endpoints: [{address: 127.0.0.1, port: ${appPort}}]}
---
{kind: Route, name: all, gateway: edge, match: {path: {prefix: /}}, to: [{service: app}]}
`);
  const gateway = await fixture.sidecar(['--gateway', 'edge', '--control-plane', controlPlane.push]);
  const admin = `http://127.0.0.1:${gateway.ports['admin']}`;
  const status = (): Promise<string> => fetch(`${admin}/status`).then((response) => response.text());
  const refused = await until('the refusal is known', status, (text) => text.includes('unreadable-file'));
  expect(refused).toContain('/listeners/secure/tls/certificates/0/keyFile');

  put('shop.key', shop.key);
  await until('it is served', () => ask(port).catch(() => null), (got) => got !== null, 40_000);
  expect(await ask(port)).toEqual({ text: 'from the app', shown: 'CN=first' });

  const open = tls.connect({ host: '127.0.0.1', port, servername: 'shop.test', ca: authority.cert });
  let text = '';
  open.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const renewed = authority.issue({ commonName: 'second', dns: ['shop.test'] });
  put('shop.crt', renewed.cert);
  put('shop.key', renewed.key);
  await until('the renewed certificate is shown', () => ask(port), ({ shown }) => shown === 'CN=second', 20_000);
  open.write('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
  await until('the open connection goes on', () => Promise.resolve(text), (got) => got.includes('from the app'));
  open.destroy();

  const metrics = await (await fetch(`${admin}/metrics`)).text();
  expect(metrics).toMatch(/remora_tls_handshakes_total\{outcome="full",version="TLSv1\.3"\} [1-9]/);
  expect(metrics).toMatch(/remora_tls_certificate_problem\{resource="listener secure",field="\/listeners\/secure\/tls\/certificates\/0",file="[^"]+shop\.crt"\} 0/);
  expect(metrics).toMatch(/remora_tls_certificate_expiry_seconds\{[^}]+\} \d{10}/);
  expect(JSON.parse(await status())).toMatchObject({ certificates: [{ names: ['shop.test'], problem: null }, { file: `${folder}/ca.pem` }] });

  // Nothing of the key leaves its file.
  const secret = renewed.key.split('\n')[1] ?? '';
  const written = readdirSync(gateway.folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'latin1'));
  for (const place of [metrics, await status(), await (await fetch(`${admin}/snapshot`)).text(), await (await fetch(`${admin}/state`)).text(), ...written]) expect(place).not.toContain(secret);
  app.close();
  app.closeAllConnections();
}, 120_000);
