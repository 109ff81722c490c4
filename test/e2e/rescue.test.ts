import { freePort } from '@remora/testing/free-port';
import { afterEach, describe, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import { ask } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, sidecarsOf, statusOf, twoServices, untilInSync } from './fixture.ts';

/** What helps a sidecar that cannot, or must not, take the newest; and callers of one that is gone. Real processes. */
describe('rescue', () => {
  let fixture = new Fixture();
  afterEach(async () => {
    await fixture.end();
    fixture = new Fixture();
  });

  test('a fresh sidecar of an older build gets the newest that its build took before', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    const common = ['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0', '--without-kind', 'fault'];
    await fixture.sidecar([...common, '--node-id', 'old']);
    await untilInSync(controlPlane.api, 1);
    const ends = new Date(Date.now() + 3_600_000).toISOString();
    await controlPlane.apply(`{kind: Policy, name: chaos, target: {service: orders}, fault: {faults: {all: {until: "${ends}", abort: {status: 418}}}}}`, '?wait=applied&timeout=60s');
    const fresh = await fixture.sidecar([...common, '--node-id', 'fresh']);
    const port = fresh.ports['inbound'] ?? fresh.ports['inbound/http'] ?? 0;
    await until('it serves what its build took', () => ask({ port, path: '/' }), ({ status }) => status === 200);
    const [, phase] = await until('the refusal is seen', async () => (await sidecarsOf(controlPlane.api)).map(({ nodeId, phase }) => [nodeId, phase] as const).find(([nodeId]) => nodeId === 'fresh') ?? ['', ''], ([, found]) => found === 'refused');
    expect(phase).toBe('refused');
    // Once the policy is gone both are in sync, the one that started in the meantime too.
    expect((await fetch(`${controlPlane.api}/v1/policies/chaos`, { method: 'DELETE' })).ok).toBe(true);
    await untilInSync(controlPlane.api, 2);
  });

  test('small steps that come to one large one wait at the sidecar for a grant, which may be given afterwards', async () => {
    const port = await freePort();
    const controlPlane = await fixture.controlPlane();
    const route = (nth: number): string => `{kind: Route, name: r${nth}, gateway: edge, match: {path: {exact: /r${nth}}}, respond: {status: 204}}`;
    await controlPlane.apply(['{kind: Gateway, name: edge, listeners: {plain: {port: ' + port + '}}}', ...Array.from({ length: 12 }, (_, nth) => route(nth))].join('\n---\n'));
    const flags = ['--gateway', 'edge', '--node-id', 'edge-1', '--control-plane', controlPlane.push];
    const first = await fixture.sidecar(flags);
    await untilInSync(controlPlane.api, 1);
    await stop(first.process);
    for (let nth = 0; nth < 8; nth++) {
      const gone = await fetch(`${controlPlane.api}/v1/routes/r${nth}`, { method: 'DELETE' });
      expect(gone.ok, await gone.text()).toBe(true);
    }
    const second = await fixture.sidecar(flags, { folder: first.folder });
    await until('the sidecar refuses', () => sidecarsOf(controlPlane.api), (items) => items.some(({ phase }) => phase === 'refused'));
    expect((await ask({ port, path: '/r0' })).status).toBe(204);
    expect(JSON.stringify(await statusOf(second))).toContain('loses-routes');
    // The same documents again: equal content, and yet the grant goes into the log.
    await controlPlane.apply(route(11), '?force=loses-routes');
    await untilInSync(controlPlane.api, 1);
    expect((await ask({ port, path: '/r0' })).status).toBe(404);
    expect((await ask({ port, path: '/r11' })).status).toBe(204);
  });

  test('callers stop choosing an instance that was killed when its lease ends', async () => {
    const startedAt = performance.now();
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    const common = ['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'];
    // Three: of two, losing one would be losing most at once, and it would be suspect instead.
    const killed = await fixture.sidecar([...common, '--node-id', 'killed']);
    for (const id of ['b', 'c']) await fixture.sidecar([...common, '--node-id', id]);
    const web = await fixture.sidecar(['--service', 'web', '--node-id', 'web', ...common.slice(2)]);
    await untilInSync(controlPlane.api, 4);
    const state = async (): Promise<string> => await (await fetch(`http://127.0.0.1:${web.ports['admin']}/state`)).text();
    await until('all are known', state, (text) => ['killed', 'b', 'c'].every((id) => text.includes(`"${id}"`)));
    // Nothing expires in the first 30 s of a control plane: only after that the time is that of the lease.
    await until('the grace is over', () => Promise.resolve(performance.now() - startedAt), (ms) => ms > 30_000, 40_000);
    const at = performance.now();
    killed.process.kill('SIGKILL');
    await until('it is out', state, (text) => !text.includes('"killed"'), 26_000);
    expect(performance.now() - at).toBeGreaterThan(8_000);
    expect((await ask({ port: web.ports['outbound'] ?? 0, path: '/', host: 'orders' })).status).toBe(200);
  });
});
