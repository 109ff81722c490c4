import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ExchangeServer } from '../testdata/exchange-server.ts';
import { instanceAt, MeshSidecar } from '../tls/testdata/mesh-rig.ts';

let folder = '';
let file = '';
const open: { close(): unknown }[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'remora-unix-'));
  file = path.join(folder, 'out.sock');
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  rmSync(folder, { recursive: true });
});

async function web(): Promise<MeshSidecar> {
  const made = new MeshSidecar({ subject: { kind: 'service', name: 'web' } });
  open.push(made);
  await made.apply({ destinations: ['orders'] });
  const app = await ExchangeServer.start('http1', (_, response) => response.end('from orders'));
  open.push(app);
  await made.reach('orders', instanceAt(app.port, { mtls: false, protocols: [] }));
  return made;
}

const bind = (sidecar: MeshSidecar): Promise<unknown> => sidecar.plane.listen([{ name: 'outbound', side: 'outbound', host: `unix:${file}`, port: 0 }]);

const ask = (): Promise<string> => new Promise((resolve, reject) => {
  http.get({ socketPath: file, path: '/', headers: { host: 'orders' }, agent: false }, (response) => {
    let text = '';
    response.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => resolve(`${response.statusCode} ${text}`));
  }).on('error', reject);
});

it('carries the calls of the app, again after it is closed, and over what a dead process left', async () => {
  const first = await web();
  await bind(first);
  expect(await ask()).toBe('200 from orders');
  await expect(bind(await web())).rejects.toThrow(/cannot be bound to unix:/);
  expect(await ask()).toBe('200 from orders');
  await first.close();
  expect(existsSync(file)).toBe(false);
  spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, 'SIGKILL'))`], { stdio: 'ignore', timeout: 10_000 });
  expect(existsSync(file)).toBe(true);
  await bind(await web());
  expect(await ask()).toBe('200 from orders');
});

it('leaves alone what is no socket', async () => {
  writeFileSync(file, 'precious');
  await expect(bind(await web())).rejects.toThrow(/cannot be bound to unix:/);
  expect(existsSync(file)).toBe(true);
});
