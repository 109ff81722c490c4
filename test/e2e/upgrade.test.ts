import { once } from 'node:events';
import { systemClock, systemTimers } from '@remora/core/clock';
import { databasePath } from '@remora/control-plane/store/backup';
import { openSqliteStore } from '@remora/control-plane/store/sqlite-store';
import { documentKey } from '@remora/model/document-key';
import { afterEach, describe, expect, test } from 'vitest';
import { ask, startTraffic } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, twoServices, untilInSync } from './fixture.ts';
import { runRemora } from './shop.ts';

/** What an older build took, in the store of a control plane that does not run. */
async function writeAsOlderBuild(folder: string, documents: readonly { readonly kind: string; readonly name: string }[]): Promise<void> {
  const store = openSqliteStore({ path: databasePath(folder), clock: systemClock, timers: systemTimers, alarm: (error) => { throw error; } });
  const changes = documents.map((after) => ({ key: documentKey(after), before: null, after, ownerBefore: '', ownerAfter: '' }));
  await store.append({ expectedHead: store.head(), author: 'older', message: '', kind: 'documents', grants: [], changes });
  await store.close();
}

describe('a control plane is upgraded', () => {
  const fixture = new Fixture();
  afterEach(() => fixture.end());

  test('its store has documents that contradict each other: it starts, names them, pushes what it pushed, and an edit ends it', async () => {
    const app = await fixture.app('orders');
    const old = await fixture.controlPlane();
    await old.apply(`${twoServices}endpoints: [{address: 127.0.0.1, port: ${app.port}}]\n`);
    const web = await fixture.sidecar(['--service', 'web', '--control-plane', old.push, '--app', '127.0.0.1:1', '--inbound', '0', '--outbound', '0']);
    await untilInSync(old.api, 1);
    const port = web.ports['outbound'] ?? 0;
    await until('it can be called', () => ask({ port, path: '/', host: 'orders' }), ({ status }) => status === 200);
    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 2 });

    const gone = once(old.process, 'exit');
    old.process.kill('SIGTERM');
    await gone;
    await writeAsOlderBuild(old.folder, [
      { kind: 'Policy', name: 'hedge', target: {}, hedging: { delay: '14s' } }, { kind: 'Policy', name: 'quick', target: { service: 'orders' }, timeout: { request: '12s' } },
    ] as never);
    let log = '';
    const upgraded = await fixture.controlPlane({
      folder: old.folder, apiPort: Number(new URL(old.api).port), pushPort: Number(old.push.split(':').at(-1)), onLog: (text) => { log += text; },
    });
    await untilInSync(upgraded.api, 1);
    const ready = async (): Promise<{ readonly status: string; readonly contradictions: readonly object[] }> => (await fetch(`${upgraded.api}/readyz`)).json() as never;
    expect(await ready()).toMatchObject({ status: 'ready', contradictions: [{ document: 'Policy/hedge', pointer: '/hedging/delay', code: 'contradiction' }] });
    await until('its log names it', () => log, (text) => text.includes('Policy/hedge/hedging/delay: delay (14s) is not shorter than timeout.request (12s)'));
    expect(await runRemora(upgraded.api, ['validate', '--stored'])).toMatchObject({ code: 1, out: expect.stringMatching(/^Policy\/hedge\n {2}\/hedging\/delay {2}delay \(14s\) is not shorter/), err: 'error: 1 violation in what is stored: enforced as before; an edit of each ends it\n' });
    const contradictions = async (): Promise<string> => /^remora_cp_contradictions (\d+)$/m.exec(await (await fetch(`${upgraded.api}/metrics`)).text())?.[1] ?? '';
    expect(await contradictions()).toBe('1');

    // Sidecars get what the older build would have sent them, and go on getting what is written.
    const snapshot = await (await fetch(`http://127.0.0.1:${web.ports['admin']}/snapshot`)).text();
    expect(snapshot).toContain('hedging');
    await upgraded.apply('{kind: Policy, name: mark, target: {service: web}, transform: {response: {headers: {set: {x-mark: "1"}}}}}', '?wait=applied&timeout=60s');
    await expect(upgraded.apply('{kind: Policy, name: hedge, target: {}, hedging: {delay: 13s}}')).rejects.toThrow('/hedging/delay');
    await upgraded.apply('{kind: Policy, name: hedge, target: {}, hedging: {delay: 10s}}', '?wait=applied&timeout=60s');
    expect([(await ready()).contradictions, await contradictions()]).toEqual([[], '0']);
    expect(await runRemora(upgraded.api, ['validate', '--stored'])).toMatchObject({ code: 0, out: 'valid: this build would take everything that is stored\n' });
    await untilInSync(upgraded.api, 1);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  }, 120_000);
});
