import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import type { RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, markPolicy, statusOf, twoServices, untilInSync } from './fixture.ts';

let fixture: Fixture;
let secrets: string;
beforeEach(() => {
  fixture = new Fixture();
  secrets = mkdtempSync(path.join(tmpdir(), 'remora-e2e-disk-'));
  for (const name of ['key', 'other']) writeFileSync(path.join(secrets, name), randomBytes(32).toString('base64'), { mode: 0o600 });
});
afterEach(async () => {
  await fixture.end();
  rmSync(secrets, { recursive: true });
});

test('a sidecar restarts from its encrypted disk; with another key it starts empty, and takes up what comes', async () => {
  const controlPlane = await fixture.controlPlane({ bundled: false });
  await controlPlane.apply(`${twoServices}---${markPolicy(41)}`);
  const app = await fixture.app('orders');
  const start = (key: string, folder?: string): Promise<RunningSidecar> => fixture.sidecar(
    ['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0', '--snapshot-key-file', path.join(secrets, key)],
    { bundled: false, ...(folder !== undefined && { folder }) },
  );
  const mark = async ({ ports }: RunningSidecar): Promise<string> => (await fetch(`http://127.0.0.1:${ports['inbound/http'] ?? ports['inbound']}/`)).headers.get('x-mark') ?? '';
  const first = await start('key');
  await untilInSync(controlPlane.api, 1);
  await until('it is on the disk', () => statusOf(first), (status) => (status['config'] as { persisted?: boolean } | null)?.persisted === true && (status['state'] as { persisted: boolean }).persisted);
  expect(await mark(first)).toBe('41');
  await stop(first.process);
  const tells = readdirSync(first.folder).filter((name) => readFileSync(path.join(first.folder, name)).includes('x-mark'));
  expect(tells).toEqual([]);

  controlPlane.process.kill('SIGSTOP');
  try {
    const again = await start('key', first.folder);
    expect(await mark(again)).toBe('41');
    expect(await statusOf(again)).toMatchObject({ diskEncrypted: true, config: { from: 'disk' } });
    await stop(again.process);
    const other = await start('other', first.folder);
    expect(await statusOf(other)).toMatchObject({ config: null, diskEncrypted: true });
    controlPlane.process.kill('SIGCONT');
    await until('it enforces what comes', () => statusOf(other), (status) => status['config'] !== null);
    expect(await mark(other)).toBe('41');
  } finally {
    controlPlane.process.kill('SIGCONT');
  }
}, 90_000);
