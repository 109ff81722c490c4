import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import { ask, startTraffic } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, markPolicy, sidecarsOf, twoServices, untilInSync } from './fixture.ts';

const run = promisify(execFile);
const program = path.resolve(import.meta.dirname, '../../dist/remora-control-plane.mjs');

/** One command of the control plane's program; answers the line that it says. */
async function command(args: readonly string[]): Promise<Record<string, string>> {
  const { stdout } = await run(process.execPath, [program, ...args], { timeout: 30_000 });
  return JSON.parse(stdout) as Record<string, string>;
}

describe('restore from a backup', () => {
  let fixture = new Fixture();
  const folders: string[] = [];
  afterEach(async () => {
    await fixture.end();
    fixture = new Fixture();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  test('sidecars that know more than the backup take the restored state for newer, and no request is lost', async () => {
    const first = await fixture.controlPlane();
    await first.apply(twoServices);
    await first.apply(markPolicy(1));
    const app = await fixture.app('orders');
    const common = ['--control-plane', first.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'];
    await fixture.sidecar(['--service', 'orders', ...common]);
    const web = await fixture.sidecar(['--service', 'web', ...common]);
    await untilInSync(first.api, 2);
    const port = web.ports['outbound'] ?? 0;
    const mark = async (): Promise<unknown> => (await ask({ port, path: '/', host: 'orders' })).headers['x-mark'];
    await until('the mark of the backup', mark, (seen) => seen === '1');

    const folder = mkdtempSync(path.join(tmpdir(), 'remora-restore-'));
    folders.push(folder);
    const copy = path.join(folder, 'copy.db');
    const made = await command(['backup', '--data-dir', first.folder, '--to', copy]);
    await first.apply(markPolicy(2), '?wait=applied&timeout=60s');
    await first.apply(markPolicy(3), '?wait=applied&timeout=60s');
    expect(await mark()).toBe('3');

    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 4, pauseMs: 2 });
    await expect(command(['restore', '--data-dir', first.folder, '--from', copy])).rejects.toMatchObject({ code: 78, stderr: expect.stringContaining('store-exists') });
    await stop(first.process);
    const data = path.join(folder, 'data');
    const restored = await command(['restore', '--data-dir', data, '--from', copy]);
    const [epochBefore = 0, epochAfter = 0] = [made['version'], restored['version']].map((version) => Number(version?.split('.')[0]));
    expect(epochAfter).toBeGreaterThan(epochBefore);

    const second = await fixture.controlPlane({ folder: data, pushPort: Number(first.push.split(':')[1]) });
    await untilInSync(second.api, 2, 40_000);
    await until('the mark of the backup again', mark, (seen) => seen === '1');
    // Whose content the restore did not change is in sync at once, and takes up the new version with its next answer.
    await until('the epoch of the restore', () => sidecarsOf(second.api), (all) => all.every(({ config }) => config.inSync && config.applied.epoch === epochAfter));
    await second.apply(markPolicy(4), '?wait=applied&timeout=60s');
    expect(await mark()).toBe('4');
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  });
});
