import { once } from 'node:events';
import { freePort } from '@remora/testing/free-port';
import { afterEach, describe, expect, test } from 'vitest';
import { ask, startTraffic } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, sidecarsOf, twoServices, untilInSync } from './fixture.ts';

/** faults.md 5 and 6, and the bad input that only a whole fleet shows. */
describe('lifecycle', () => {
  let fixture = new Fixture();
  afterEach(async () => {
    await fixture.end();
    fixture = new Fixture();
  });

  test('one of two instances is stopped under load, and no request is lost', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    const common = ['--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'];
    const leaving = await fixture.sidecar(['--service', 'orders', ...common]);
    await fixture.sidecar(['--service', 'orders', ...common]);
    const web = await fixture.sidecar(['--service', 'web', ...common]);
    await untilInSync(controlPlane.api, 3);
    const port = web.ports['outbound'] ?? 0;
    await until('the first answer', () => ask({ port, path: '/', host: 'orders' }), ({ status }) => status === 200);
    const traffic = startTraffic({ port, path: '/', host: 'orders', concurrency: 8 });
    await traffic.more(200);
    const gone = once(leaving.process, 'exit');
    leaving.process.kill('SIGTERM');
    await gone;
    await traffic.more(500);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
    expect(leaving.process.exitCode).toBe(0);
  });

  test('the guard refuses to take a gateway\'s last route, and the gateway goes on', async () => {
    const controlPlane = await fixture.controlPlane();
    const port = await freePort();
    await controlPlane.apply(`{kind: Gateway, name: edge, listeners: {plain: {port: ${port}}}}\n---\n{kind: Route, name: fixed, gateway: edge, match: {path: {prefix: /}}, respond: {status: 204}}\n`);
    await fixture.sidecar(['--gateway', 'edge', '--control-plane', controlPlane.push]);
    await until('the gateway answers', () => ask({ port, path: '/' }), ({ status }) => status === 204);
    const refused = await fetch(`${controlPlane.api}/v1/routes/fixed`, { method: 'DELETE' });
    expect(refused.status).toBe(409);
    expect(await refused.text()).toContain('empties-routes');
    expect((await ask({ port, path: '/' })).status).toBe(204);
    const forced = await fetch(`${controlPlane.api}/v1/routes/fixed?force=empties-routes&wait=applied&timeout=60s`, { method: 'DELETE' });
    expect(forced.ok, await forced.text()).toBe(true);
    await until('the route is gone', () => ask({ port, path: '/' }), ({ status }) => status === 404);
  });

  test('a sidecar of an older build refuses alone, by name, and serves on', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    const common = ['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'];
    const old = await fixture.sidecar([...common, '--node-id', 'orders-old', '--without-kind', 'fault']);
    const current = await fixture.sidecar([...common, '--node-id', 'orders-new']);
    await untilInSync(controlPlane.api, 2);
    const until_ = new Date(Date.now() + 3_600_000).toISOString();
    const answer = await controlPlane.apply(`{kind: Policy, name: chaos, target: {service: orders}, fault: {faults: {all: {until: "${until_}", abort: {status: 418}}}}}`, '?wait=applied&timeout=60s');
    expect(JSON.stringify(answer)).toContain('unknown-kind');
    const portOf = (sidecar: typeof old): number => sidecar.ports['inbound'] ?? sidecar.ports['inbound/http'] ?? 0;
    await until('the newer build enforces', () => ask({ port: portOf(current), path: '/' }), ({ status }) => status === 418);
    expect((await ask({ port: portOf(old), path: '/' })).status).toBe(200);
    const phases = async (): Promise<Record<string, string>> => Object.fromEntries((await sidecarsOf(controlPlane.api)).map(({ nodeId, phase }) => [nodeId, phase]));
    await until('one is refused, the other is in sync', phases, ({ 'orders-old': older, 'orders-new': newer }) => older === 'refused' && newer === 'in-sync');
  });

  test('a port in use and a wrong service are said clearly', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const taken = Number(new URL(controlPlane.api).port);
    await expect(fixture.controlPlane({ apiPort: taken })).rejects.toThrow(/ended with [1-9]/);
    const app = await fixture.app('orders');
    const stranger = await fixture.sidecar(['--service', 'ordres', '--node-id', 'stranger', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0', '--on-no-snapshot', 'wait']).catch((error: unknown) => error as Error);
    if (!(stranger instanceof Error)) {
      const status = await until('the sidecar knows why', async () => await (await fetch(`http://127.0.0.1:${stranger.ports['admin']}/status`)).text(), (text) => /unknown-service|ordres/.test(text));
      expect(status).toMatch(/ordres/);
    }
  });
});
